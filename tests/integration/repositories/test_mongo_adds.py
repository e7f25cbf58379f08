"""Many adds at once on a real MongoDB: one write for all, and an outcome for each."""

import asyncio

import pytest
from msgspec import structs
from pymongo.write_concern import WriteConcern

from cli.embedded.ports import free_port
from cli.embedded.servers import MongoServer
from core.audit import Action, AuditRow
from core.errors import AuditFailed, DuplicateTask, StoreUnavailable, TaskNotFound, TaskTooLarge
from core.random_ids import new_row_id
from core.tasks import Task
from repositories.mongodb.client import Database, connect_mongo
from repositories.mongodb.tasks import MongoTaskRepository
from tests.contracts.task_repository import outcome_of
from tests.contracts.tasks import NOW, a_task

SMALL = {"prompt": "a cat"}
LARGE = {"image": "A" * 2**20}


@pytest.fixture
def repository(database: Database) -> MongoTaskRepository:
    """A prepared repository on that database."""
    return MongoTaskRepository(database)


async def inserts(database: Database) -> int:
    """The number of insert commands that the server has received."""
    status = await database.command("serverStatus")
    return int(status["metrics"]["commands"]["insert"]["total"])


def too_large() -> Task:
    """A task that is larger than a document may be."""
    return a_task(metadata={"text": "x" * (17 * 2**20)})


async def test_adds_at_once_share_writes(repository: MongoTaskRepository, database: Database) -> None:
    """Fifty at the same moment are one insert, and all are stored."""
    tasks = [a_task() for _ in range(50)]
    await repository.add(a_task(), SMALL)
    before = await inserts(database)

    await asyncio.gather(*(repository.add(task, SMALL) for task in tasks))

    assert await inserts(database) == before + 1
    assert [await repository.get(task.id) for task in tasks] == tasks


@pytest.mark.parametrize("bad_input", [SMALL, LARGE], ids=["small", "large"])
async def test_a_task_that_is_stored_already_fails_alone(
    repository: MongoTaskRepository, bad_input: dict[str, str]
) -> None:
    """Those that share its write are stored; the first of that id stays as it was."""
    first, good = a_task(), [a_task() for _ in range(4)]
    await repository.add(first, SMALL)

    outcomes = await asyncio.gather(
        *(outcome_of(repository.add(task, bad_input)) for task in (*good[:2], first, *good[2:]))
    )

    assert outcomes == [None, None, DuplicateTask, None, None]
    assert [await repository.get(task.id) for task in (first, *good)] == [first, *good]
    assert await repository.get_input(first.id) == SMALL


@pytest.mark.parametrize("bad_input", [SMALL, LARGE], ids=["small", "large"])
async def test_a_task_that_is_too_large_fails_alone(
    repository: MongoTaskRepository, database: Database, bad_input: dict[str, str]
) -> None:
    """Those beside it are stored, and nothing of it stays."""
    good = [a_task() for _ in range(4)]

    outcomes = await asyncio.gather(
        *(outcome_of(repository.add(task, bad_input)) for task in (*good[:2], too_large(), *good[2:]))
    )

    assert outcomes == [None, None, TaskTooLarge, None, None]
    assert await database["tasks"].count_documents({}) == 4
    assert await database["inputs.files"].count_documents({}) == (4 if bad_input is LARGE else 0)


async def test_a_write_that_is_not_confirmed_fails_all_of_it(database: Database) -> None:
    """If the write concern cannot be met, every caller gets an error."""
    doubtful = MongoTaskRepository(database.with_options(write_concern=WriteConcern(w=2, wtimeout=1000)))

    outcomes = await asyncio.gather(*(outcome_of(doubtful.add(a_task(), SMALL)) for _ in range(3)))

    assert outcomes == [StoreUnavailable] * 3


async def test_a_database_that_stops_fails_exactly_what_is_written_then(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Every caller of that write gets an error; afterwards tasks are stored again."""
    mongo = MongoServer(tmp_path_factory.mktemp("mongo"), port=free_port())
    await mongo.start()
    database = connect_mongo(f"{mongo.url}&serverSelectionTimeoutMS=500")
    try:
        repository = MongoTaskRepository(database)
        await repository.add(a_task(), SMALL)
        await mongo.stop()
        lost = [a_task() for _ in range(5)]

        outcomes = await asyncio.gather(*(outcome_of(repository.add(task, SMALL)) for task in lost))

        assert outcomes == [StoreUnavailable] * 5
        await mongo.start()
        assert [await outcome_of(repository.add(a_task(), SMALL)) for _ in range(2)] == [None, None]
    finally:
        database.client.close()
        await mongo.stop()


async def test_rows_at_once_share_a_write_too(repository: MongoTaskRepository, database: Database) -> None:
    """Fifty tasks with their rows are two inserts, and all are stored."""
    tasks = [a_task() for _ in range(50)]
    await repository.add(a_task(), SMALL)
    before = await inserts(database)

    await asyncio.gather(*(repository.add(task, SMALL, row=row_of(task)) for task in tasks))

    assert await inserts(database) == before + 2
    assert await database["tasks"].count_documents({}) == 51
    assert await without_row(database) == await database["tasks"].count_documents({}) - 50


async def test_a_row_that_is_refused_fails_its_task_alone(repository: MongoTaskRepository, database: Database) -> None:
    """The task is not stored; those beside it are, with row or without."""
    await database.create_collection("audit", validator={"target": {"$ne": "no"}})
    plain, bad, good = (a_task() for _ in range(3))
    rows = [None, structs.replace(row_of(bad), target="no"), row_of(good)]

    outcomes = await asyncio.gather(
        *(outcome_of(repository.add(task, SMALL, row=row)) for task, row in zip((plain, bad, good), rows, strict=True))
    )

    assert outcomes == [None, AuditFailed, None]
    assert await outcome_of(repository.get(bad.id)) is TaskNotFound
    assert await database["audit"].count_documents({}) == 1


async def test_no_task_is_stored_without_its_row_when_mongodb_is_killed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Every confirmed task is stored, and each stored task has its row."""
    mongo = MongoServer(tmp_path_factory.mktemp("mongo"), port=free_port())
    await mongo.start()
    database = connect_mongo(mongo.url)
    repository = MongoTaskRepository(database)
    confirmed: list[str] = []
    going_on = True

    async def create() -> None:
        while going_on:
            task = a_task()
            if await outcome_of(repository.add(task, SMALL, row=row_of(task))) is None:
                confirmed.append(task.id)

    creators = [asyncio.create_task(create()) for _ in range(8)]
    try:
        for _ in range(3):
            await more_than(len(confirmed) + 100, confirmed)
            await mongo.kill()
            await mongo.start()
        going_on = False
        await asyncio.gather(*creators)

        stored = {document["_id"] async for document in database["tasks"].find({}, {"_id": 1})}
        assert set(confirmed) <= stored
        assert await without_row(database) == 0
    finally:
        going_on = False
        database.client.close()
        await mongo.stop()


async def more_than(number: int, confirmed: list[str]) -> None:
    """Wait until more tasks than that are confirmed."""
    async with asyncio.timeout(30):
        while len(confirmed) <= number:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def without_row(database: Database) -> int:
    """The number of stored tasks without a row."""
    rows = {row["target"] async for row in database["audit"].find({}, {"target": 1})}
    return await database["tasks"].count_documents({"_id": {"$nin": list(rows)}})


def row_of(task: Task) -> AuditRow:
    """The row that says that the task was created."""
    return AuditRow(id=new_row_id(NOW), at=NOW, action=Action.TASK_CREATE, target=task.id)


async def test_a_cancelled_caller_does_not_affect_the_others(repository: MongoTaskRepository) -> None:
    """At any time: the others are stored, and its own task is stored completely or not at all."""
    for turns in range(6):
        good, gone = [a_task() for _ in range(3)], a_task()
        adds = [asyncio.create_task(repository.add(task, SMALL)) for task in (good[0], gone, *good[1:])]
        for _ in range(turns):
            await asyncio.sleep(0)
        adds[1].cancel()
        await asyncio.wait(adds)

        assert [await repository.get(task.id) for task in good] == good
        if await outcome_of(repository.get(gone.id)) is None:
            assert await repository.get(gone.id) == gone
            assert await repository.get_input(gone.id) == SMALL
