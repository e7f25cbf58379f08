"""`MongoTaskRepository` on a real MongoDB: the contract, the indexes, the large inputs."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from msgspec import structs
from pymongo import MongoClient

from cli.embedded.servers import MongoServer
from core.audit import Action, AuditRow
from core.errors import AuditFailed, DuplicateTask, TaskNotFound
from core.task_repository import TaskQuery
from core.task_states import State, Status
from polyrelay import TaskType
from repositories.mongodb.audit import AUDIT_COLLECTION, row_of
from repositories.mongodb.client import Database, connect_mongo
from repositories.mongodb.task_documents import INLINE_LIMIT_BYTES, SUMMARY, Document, document_of, filter_of
from repositories.mongodb.task_indexes import INDEXES, index_for
from repositories.mongodb.tasks import MongoTaskRepository
from tests.contracts.task_repository import TaskRepositoryContract, outcome_of, stored
from tests.contracts.tasks import NOW, a_task


@pytest.fixture(scope="module")
def tasks_url(mongo_server: MongoServer) -> Iterator[str]:
    """One database for all tests here: creating its indexes takes longer than a test."""
    url = mongo_server.url_of(f"tasks_{secrets.token_hex(6)}")
    yield url
    with MongoClient[Document](url) as client:
        client.drop_database(client.get_default_database())


@pytest.fixture
async def database(tasks_url: str) -> AsyncIterator[Database]:
    """That database, emptied."""
    database = connect_mongo(tasks_url)
    for name in ("tasks", "inputs.files", "inputs.chunks"):
        await database[name].delete_many({})
    await database[AUDIT_COLLECTION].drop()
    yield database
    database.client.close()


@pytest.fixture
async def repository(database: Database) -> MongoTaskRepository:
    """A repository that is prepared."""
    repository = MongoTaskRepository(database)
    await repository.prepare()
    return repository


class TestMongoTaskRepository(TaskRepositoryContract):
    """`MongoTaskRepository` keeps the contract."""


def stages_of(plan: Any) -> set[str]:
    """The names of all stages in an explained plan."""
    if isinstance(plan, list):
        return set().union(*map(stages_of, plan))
    if not isinstance(plan, dict):
        return set()
    own = {plan["stage"]} if "stage" in plan else set()
    return own.union(*map(stages_of, plan.values()))


def winning_plan(explained: dict[str, Any]) -> Any:
    """The plan that runs, of a find or of an aggregate."""
    planner = explained if "queryPlanner" in explained else explained["stages"][0]["$cursor"]
    return planner["queryPlanner"]["winningPlan"]


QUERIES = [
    TaskQuery(owner=owner, user_id=user_id, type=task_type, status=status, provider=provider)
    for owner, user_id, task_type, status, provider in product(
        (None, "owner-1"),
        (None, "user-1"),
        (None, TaskType.VIDEO),
        (None, Status.PROCESSING, Status.COMPLETED),
        (None, "openai"),
    )
]


@pytest.mark.parametrize("query", QUERIES, ids=str)
async def test_every_page_is_read_from_an_index_in_order(
    repository: MongoTaskRepository, database: Database, query: TaskQuery
) -> None:
    """No filter scans the collection or sorts in memory, at the beginning and by cursor."""
    tasks = [await stored(repository, state=state, user_id=user) for state in State for user in ("user-1", "user-2")]
    conditions = filter_of(query)

    for older in ({}, {"_id": {"$lt": tasks[3].id}}):
        cursor = (
            database["tasks"].find({**conditions, **older}, SUMMARY).sort("_id", -1).hint(index_for(query)).limit(20)
        )
        stages = stages_of(winning_plan(await cursor.explain()))

        assert "IXSCAN" in stages
        assert not stages & {"COLLSCAN", "SORT"}


@pytest.mark.parametrize("query", [query for query in QUERIES if filter_of(query)], ids=str)
async def test_every_total_is_counted_in_an_index(
    repository: MongoTaskRepository, database: Database, query: TaskQuery
) -> None:
    """A count reads no documents."""
    await stored(repository)
    explained = await database.command(
        {
            "explain": {
                "aggregate": "tasks",
                "pipeline": [{"$match": filter_of(query)}, {"$limit": 1001}, {"$group": {"_id": 1, "n": {"$sum": 1}}}],
                "cursor": {},
                "hint": index_for(query),
            }
        }
    )

    stages = stages_of(winning_plan(explained))
    assert stages & {"IXSCAN", "COUNT_SCAN"}
    assert not stages & {"COLLSCAN", "FETCH"}


SMALL_LISTS = [
    structs.replace(whose, type=task_type, status=status, limit=5, count_limit=5)
    for whose, task_type, status in product(
        (TaskQuery(), TaskQuery(user_id="user-1"), TaskQuery(owner="owner-1"), TaskQuery(provider="openai")),
        (None, TaskType.VIDEO),
        (None, Status.PROCESSING, Status.FAILED),
    )
]


@pytest.mark.parametrize("query", SMALL_LISTS, ids=str)
async def test_a_list_reads_few_more_keys_than_it_returns(
    repository: MongoTaskRepository, database: Database, query: TaskQuery
) -> None:
    """However many tasks match, and however many others the same user, owner or provider has."""
    await store_many(database)
    match, limit = {"$match": filter_of(query)}, {"$limit": query.count_limit + 1}

    page = await keys_read(database, [match, {"$sort": {"_id": -1}}, {"$limit": query.limit}], query)
    total = await keys_read(database, [match, limit, {"$group": {"_id": 1, "n": {"$sum": 1}}}], query)

    streams = len(State) * len(TaskType)
    assert page <= query.limit + 2 * streams
    assert total <= query.count_limit + 1 + streams


async def store_many(database: Database) -> None:
    """Thirty tasks of each state and type, all of one owner, user and provider; stored once for all tests."""
    fields = {"owner": "owner-1", "user_id": "user-1", "provider": "openai"}
    tasks = [
        a_task(created=NOW + timedelta(seconds=second), state=state, type=task_type, **fields)
        for second, state, task_type in product(range(30), State, TaskType)
    ]
    await database["tasks"].insert_many(list(map(document_of, tasks)))


async def keys_read(database: Database, pipeline: list[Document], query: TaskQuery) -> int:
    """How many keys of its index that pipeline reads."""
    command = {"aggregate": "tasks", "pipeline": pipeline, "cursor": {}, "hint": index_for(query)}
    explained = await database.command({"explain": command, "verbosity": "executionStats"})
    stats = explained if "executionStats" in explained else explained["stages"][0]["$cursor"]
    return int(stats["executionStats"]["totalKeysExamined"])


async def test_only_open_tasks_are_in_the_index_that_overdue_tasks_are_read_from(
    repository: MongoTaskRepository, database: Database
) -> None:
    """Final tasks are not in the index of the reconciler."""
    for state in State:
        await stored(repository, state=state, wake_at=None if state.final else NOW)

    validated = await database.command("validate", "tasks")

    assert validated["keysPerIndex"]["open_tasks"] == sum(not state.final for state in State)


async def test_preparing_again_and_at_once_changes_nothing(mongo_database_url: str) -> None:
    """Several processes may start together, and again."""
    database = connect_mongo(mongo_database_url)
    repository = MongoTaskRepository(database)

    await asyncio.gather(*(MongoTaskRepository(database).prepare() for _ in range(5)))
    await repository.prepare()

    assert set(await database["tasks"].index_information()) == {"_id_", *(index.document["name"] for index in INDEXES)}
    await repository.aclose()


@pytest.mark.parametrize("more", [-1, 0], ids=["below", "at"])
async def test_the_size_decides_where_an_input_is_stored(
    repository: MongoTaskRepository, database: Database, more: int
) -> None:
    """Below the limit it is in the document, from the limit on in GridFS; it comes back from both."""
    task = a_task()
    task_input = {"a": "x" * (INLINE_LIMIT_BYTES - len(b'{"a":""}') + more)}

    await repository.add(task, task_input)

    assert await database["inputs.files"].count_documents({}) == (0 if more else 1)
    assert await repository.get_input(task.id) == task_input


async def test_no_part_of_an_input_outlives_its_task(repository: MongoTaskRepository, database: Database) -> None:
    """Deleting a task, and adding one twice, leave nothing behind in GridFS."""
    task = a_task()
    large = {"image": "A" * 2**20}
    await repository.add(task, large)
    with pytest.raises(DuplicateTask):
        await repository.add(task, large)
    assert await database["inputs.files"].count_documents({}) == 1

    await repository.delete(task)

    assert await database["inputs.files"].count_documents({}) == 0
    assert await database["inputs.chunks"].count_documents({}) == 0


async def test_a_save_keeps_what_a_newer_server_stored(repository: MongoTaskRepository, database: Database) -> None:
    """Two versions may run side by side: an unknown field is kept."""
    task = await stored(repository)
    await database["tasks"].update_one({"_id": task.id}, {"$set": {"mood": "good"}})

    await repository.save(task.to(State.SUBMITTING, now=NOW))

    document = await database["tasks"].find_one({"_id": task.id})
    assert document is not None
    assert document["mood"] == "good"


async def test_writes_are_journaled_by_a_majority(database: Database) -> None:
    """A confirmed write survives the loss of the server."""
    assert database.get_collection("tasks").write_concern.document == {"w": "majority", "j": True, "wtimeout": 20_000}


async def test_another_connection_reads_what_was_written(repository: MongoTaskRepository, tasks_url: str) -> None:
    """A wake may reach a worker before the writer goes on: the worker finds the task."""
    other = MongoTaskRepository(connect_mongo(tasks_url))
    for _ in range(20):
        task = await stored(repository)
        assert await outcome_of(other.get(task.id)) is None
    await other.aclose()


async def test_the_row_is_stored_with_the_task(repository: MongoTaskRepository, database: Database) -> None:
    """The row says who created the task, in each field, once the task is stored."""
    row = AuditRow(id="audit_1", at=NOW, action=Action.TASK_CREATE, owner="owner-1", detail={"$ref": 2**70})
    await repository.add(a_task(), {}, row=row)

    document = await database[AUDIT_COLLECTION].find_one({"_id": "audit_1"})
    assert document is not None
    assert row_of(document) == row


async def test_a_task_whose_row_is_refused_is_not_stored(repository: MongoTaskRepository, database: Database) -> None:
    """A task is not stored without its row."""
    await database.create_collection(AUDIT_COLLECTION, validator={"never": {"$exists": True}})
    task = a_task()

    with pytest.raises(AuditFailed):
        await repository.add(task, {}, row=AuditRow(id="audit_2", at=NOW, action=Action.TASK_CREATE))
    with pytest.raises(TaskNotFound):
        await repository.get(task.id)
