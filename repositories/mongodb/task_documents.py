"""
Documents of tasks in MongoDB.

A document has the fields of `Task` under their names, with `_id` for `id`, and times as dates. A field that is None or
empty is left out. Three fields are JSON texts, because BSON cannot hold every JSON value (big integers, `$ref`, NUL in
a key): `metadata`, `fallbacks`, and `input`, which is not part of `Task`. A large input is in GridFS, and `input_file`
names it.

A save never changes three fields. `cancel_requested` is set by a cancellation request and deleted by a retry.
`idempotency` and `replay` are written with the task; they have unique indexes, and a conflict there must never prevent
a save of what a vendor did.
"""

from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import structs

from core.task_repository import TaskQuery
from core.task_states import PHASES, State, Status
from core.tasks import Result, Task, TaskInput, TaskSummary
from polyrelay import TaskType

Document: TypeAlias = dict[str, Any]
"""A MongoDB document."""

INLINE_LIMIT_BYTES: Final = 256 * 1024
"""Inputs of this size and above go to GridFS: a document may have 16 MiB, a request body 20 MiB."""

# old documents may have fields that were renamed or dropped, and any may have those of a newer server: both are ignored
_FIELDS: Final = tuple(field.name for field in structs.fields(Task) if field.name != "id")
_SAVED: Final = tuple(name for name in _FIELDS if name not in {"cancel_requested", "idempotency", "replay"})
_PLAIN: Final = frozenset({str, int, float, bool, datetime})
_COLLECTIONS: Final = frozenset({"metadata", "fallbacks", "attempts", "results", "quotas"})
_JSON: Final = ("metadata", "fallbacks")

WITH_INPUT: Final[Document] = {"input_file": 0}
"""Projection of what `task_of` needs, and of a small input."""

WITHOUT_INPUT: Final = {"input": 0, "input_file": 0}
"""Projection of what `task_of` needs."""

SUMMARY: Final = {
    **{field.name: 1 for field in structs.fields(TaskSummary) if field.name not in {"id", "results"}},
    **{f"results.{field.name}": 1 for field in structs.fields(Result) if field.name != "text"},
}
"""Projection of what `summary_of` needs: small fields only."""


def document_of(task: Task) -> Document:
    """The task's document, without its input."""
    document: Document = {"_id": task.id}
    for name in _FIELDS:
        value = getattr(task, name)
        if value is None or (not value and name in _COLLECTIONS):
            continue
        document[name] = value if type(value) in _PLAIN else _builtins(value)
    for name in document.keys() & _JSON:
        document[name] = msgspec.json.encode(document[name]).decode()
    return document


def update_of(task: Task) -> Document:
    """The update that makes the stored document that of the task; its input is not changed."""
    document = {name: value for name, value in document_of(task).items() if name in _SAVED}
    absent = {name: "" for name in _SAVED if name not in document}
    return {"$set": document, "$unset": absent} if absent else {"$set": document}


def without_cancellation_request(update: Document) -> Document:
    """That update, which also deletes the cancellation request."""
    return {**update, "$unset": {**update.get("$unset", {}), "cancel_requested": ""}}


def task_of(document: Document) -> Task:
    """The task of a document."""
    fields = {**document, "id": document["_id"]}
    for name in document.keys() & _JSON:
        fields[name] = msgspec.json.decode(document[name])
    return msgspec.convert(fields, Task)


def summary_of(document: Document) -> TaskSummary:
    """The summary of a document that was read with the projection `SUMMARY`."""
    return msgspec.convert({**document, "id": document["_id"]}, TaskSummary)


def encode_input(task_input: TaskInput) -> bytes:
    """The input as JSON."""
    return msgspec.json.encode(task_input)


def decode_input(data: bytes) -> TaskInput:
    """The input of its JSON."""
    return msgspec.json.decode(data, type=TaskInput)


def filter_of(query: TaskQuery) -> Document:
    """
    The filter of all tasks of a query, without its `after`.

    A filter that is not empty always names states and types, all of them if the query does not: for each pair of state
    and type the index has a range that is sorted already.
    """
    owned = {"owner": query.owner, "user_id": query.user_id, "provider": query.provider}
    conditions: Document = {name: value for name, value in owned.items() if value is not None}
    if not conditions and query.type is None and query.status is None:
        return {}
    return {**conditions, "state": _states(query.status), "type": query.type or {"$in": sorted(TaskType)}}


def _states(status: Status | None) -> Any:
    if status is None:
        return {"$in": sorted(State)}
    if status is Status.PROCESSING:
        return {"$in": sorted(PHASES)}
    return status.value


def _builtins(value: Any) -> Any:
    return msgspec.to_builtins(value, builtin_types=(datetime, bytes))
