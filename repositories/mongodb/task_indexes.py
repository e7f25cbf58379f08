"""Indexes of the collection `tasks`, and which of them a list reads."""

from typing import Final

from pymongo import ASCENDING, DESCENDING, IndexModel

from core.task_repository import TaskQuery
from repositories.mongodb.task_documents import Document

IN_QUOTAS: Final[Document] = {"wake_at": {"$exists": True}, "quotas": {"$exists": True}}
"""Open tasks that name a quota."""

# Owner, user or provider first, then state and type, then the id, which gives the order. A list without a state or type
# names all of their values: MongoDB merges one short scan for each pair, and reads few more keys than it returns. A
# second filter by owner, user or provider is checked in the keys.
INDEXES: Final = (
    IndexModel(
        [
            ("owner", ASCENDING),
            ("state", ASCENDING),
            ("type", ASCENDING),
            ("_id", DESCENDING),
            ("provider", ASCENDING),
        ],
        name="tasks_of_owner_by_state",
        partialFilterExpression={"owner": {"$exists": True}},
    ),
    IndexModel(
        [
            ("user_id", ASCENDING),
            ("state", ASCENDING),
            ("type", ASCENDING),
            ("_id", DESCENDING),
            ("provider", ASCENDING),
            ("owner", ASCENDING),
        ],
        name="tasks_of_user_by_state",
    ),
    IndexModel(
        [("provider", ASCENDING), ("state", ASCENDING), ("type", ASCENDING), ("_id", DESCENDING)],
        name="tasks_of_provider_by_state",
    ),
    IndexModel([("state", ASCENDING), ("type", ASCENDING), ("_id", DESCENDING)], name="tasks_by_state"),
    # id first: a page continues where the last one ended, however many tasks are overdue. Open tasks only.
    IndexModel(
        [("_id", ASCENDING), ("wake_at", ASCENDING)],
        name="open_tasks",
        partialFilterExpression={"wake_at": {"$exists": True}},
    ),
    IndexModel([("lease.owner", ASCENDING)], name="leases", sparse=True),
    # a signature creates at most one task
    IndexModel(
        [("replay", ASCENDING)],
        name="signatures",
        unique=True,
        partialFilterExpression={"replay": {"$exists": True}},
    ),
    # an idempotency key creates at most one task
    IndexModel(
        [("idempotency.key", ASCENDING)],
        name="idempotency_keys",
        unique=True,
        partialFilterExpression={"idempotency.key": {"$exists": True}},
    ),
    # empty where there are no quotas
    IndexModel([("_id", ASCENDING), ("quotas", ASCENDING)], name="tasks_in_quotas", partialFilterExpression=IN_QUOTAS),
)


def index_for(query: TaskQuery) -> str:
    """The name of the index that a list reads: that of its most selective field."""
    if query.user_id is not None:
        return "tasks_of_user_by_state"
    if query.owner is not None:
        return "tasks_of_owner_by_state"
    if query.provider is not None:
        return "tasks_of_provider_by_state"
    return "_id_" if query.type is None and query.status is None else "tasks_by_state"
