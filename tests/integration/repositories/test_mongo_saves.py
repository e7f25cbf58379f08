"""Many reads and saves at once on a real MongoDB: one round trip for all, and an outcome for each."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest
from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure

from cli.embedded.ports import free_port
from cli.embedded.servers import MongoServer
from core.errors import Stale, StoreUnavailable, TaskNotFound
from core.task_states import State
from core.tasks import Result, Task
from polyrelay import TaskType
from repositories.mongodb.client import Database, connect_mongo
from repositories.mongodb.task_documents import VersionedUpdate, update_each, update_of
from repositories.mongodb.tasks import MongoTaskRepository
from tests.contracts.task_repository import outcome_of, stored
from tests.contracts.tasks import NOW
from tests.servers import running

TRIES = 200


@pytest.fixture
def repository(database: Database) -> MongoTaskRepository:
    """A prepared repository on that database."""
    return MongoTaskRepository(database)


def after(task: Task, **fields: Any) -> Task:
    """The task, submitted."""
    return task.to(State.SUBMITTING, now=NOW, **fields)


def update(task: Task) -> VersionedUpdate:
    """The save of a task as a batch has it."""
    return VersionedUpdate(task_id=task.id, version=task.version - 1, update=update_of(task))


async def commands(database: Database, name: str) -> int:
    """The number of commands of that name that the server has received."""
    status = await database.command("serverStatus")
    return int(status["metrics"]["commands"][name]["total"])


async def outcomes_of_saves(database: Database, tasks: Sequence[Task]) -> list[type[Exception] | None]:
    """The outcome of each task, saved in one batch."""
    done = await update_each(database["tasks"], [update(task) for task in tasks])
    return [None if each is None else type(each) for each in done]


async def test_saves_at_once_share_a_write(repository: MongoTaskRepository, database: Database) -> None:
    """Fifty at the same moment are one command, and each version is stored."""
    tasks = [await stored(repository) for _ in range(50)]
    before = await commands(database, "update")

    await asyncio.gather(*(repository.save(after(task)) for task in tasks))

    assert await commands(database, "update") == before + 1
    assert [await repository.get(task.id) for task in tasks] == [after(task) for task in tasks]


async def test_reads_at_once_share_a_round_trip(repository: MongoTaskRepository, database: Database) -> None:
    """Each caller gets its own task; one that does not exist fails alone."""
    tasks = [await stored(repository) for _ in range(20)]
    ids = [*(task.id for task in tasks), "task_none"]
    before = await commands(database, "find")

    found = await asyncio.gather(*map(repository.get, ids), return_exceptions=True)
    whole = await asyncio.gather(*map(repository.get_with_input, ids), return_exceptions=True)

    assert await commands(database, "find") == before + 2
    assert found[:-1] == tasks == [each.task for each in whole if not isinstance(each, BaseException)]
    assert isinstance(found[-1], TaskNotFound)
    assert isinstance(whole[-1], TaskNotFound)


async def test_in_a_batch_each_save_has_its_own_outcome(repository: MongoTaskRepository, database: Database) -> None:
    """A save of a stale version or of a deleted task fails, wherever it is in the batch; the others are stored."""
    fresh, stale, gone, last = [await stored(repository) for _ in range(4)]
    other = after(stale, progress=0.5)
    await repository.save(other)
    await repository.delete(gone)

    outcomes = await outcomes_of_saves(
        database, [after(stale), after(fresh), after(gone), after(last), after(stale, progress=0.5)]
    )

    assert outcomes == [Stale, None, Stale, None, Stale]
    assert [await repository.get(task.id) for task in (fresh, stale, last)] == [after(fresh), other, after(last)]


async def test_a_save_equal_to_the_stored_one_is_stale(repository: MongoTaskRepository, database: Database) -> None:
    """Two equal saves in the same millisecond are distinguished, also within one batch."""
    task, beside = await stored(repository), await stored(repository)

    assert await outcomes_of_saves(database, [after(task), after(beside), after(task)]) == [None, None, Stale]


async def test_a_save_that_won_is_not_stale_if_the_task_changes_again_at_once(
    repository: MongoTaskRepository, database: Database
) -> None:
    """The outcome is the server's at the moment of the save, whatever is written after it."""
    tasks = [await stored(repository) for _ in range(3)]
    later = [after(task).to(State.FAILED, now=NOW) for task in tasks]
    gone = await stored(repository)
    await repository.delete(gone)

    outcomes = await outcomes_of_saves(database, [*map(after, tasks), *later, after(gone)])

    assert outcomes == [None] * 6 + [Stale]


async def test_of_racing_batches_one_save_of_each_version_wins(database: Database) -> None:
    """However batches of several workers overlap, exactly one writer of each version succeeds."""
    workers = [MongoTaskRepository(database) for _ in range(4)]
    tasks = [await stored(workers[0]) for _ in range(TRIES)]

    async def race(number: int) -> list[tuple[str, Task]]:
        mine = [after(task, progress=number / 10) for task in random.sample(tasks, len(tasks))]
        outcomes = await asyncio.gather(*(outcome_of(workers[number].save(each)) for each in mine))
        assert set(outcomes) <= {None, Stale}
        return [(each.id, each) for each, outcome in zip(mine, outcomes, strict=True) if outcome is None]

    winners = [won for wins in await asyncio.gather(*map(race, range(len(workers)))) for won in wins]

    assert len(winners) == len(dict(winners)) == len(tasks)
    assert {task_id: await workers[0].get(task_id) for task_id, _ in winners} == dict(winners)


async def test_a_save_that_no_document_can_hold_fails_alone(repository: MongoTaskRepository) -> None:
    """A large save is sent by itself, and the others are stored."""
    small, large = await stored(repository), await stored(repository)
    text = Result(type=TaskType.TEXT, text="x" * (17 * 2**20))

    outcomes = await asyncio.gather(
        outcome_of(repository.save(after(small))), outcome_of(repository.save(after(large, results=(text,))))
    )

    assert outcomes[0] is None
    assert outcomes[1] is not None
    assert issubclass(outcomes[1], (DocumentTooLarge, OperationFailure))
    assert (await repository.get(small.id), await repository.get(large.id)) == (after(small), large)


async def test_a_batch_without_a_server_fails_each_caller(tmp_path: Any) -> None:
    """Each caller gets `StoreUnavailable`, and can save once the database is available again."""
    async with running(MongoServer(tmp_path, port=free_port())) as server:
        repository = MongoTaskRepository(connect_mongo(server.url, timeout_s=0.5))
        tasks = [await stored(repository) for _ in range(3)]
        await server.kill()
        outcomes = await asyncio.gather(*(outcome_of(repository.save(after(task))) for task in tasks))
        assert outcomes == [StoreUnavailable] * 3

        await server.start()
        again = MongoTaskRepository(connect_mongo(server.url))
        assert await asyncio.gather(*(outcome_of(again.save(after(task))) for task in tasks)) == [None] * 3
        await again.aclose()
        await repository.aclose()


class AnsweringTasks:
    """A collection that refuses a batch with the given answer: what a real server answers when it stops."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    async def bulk_write(self, *_: object, **__: object) -> None:
        """Refuse."""
        raise BulkWriteError(self._answer)


async def test_a_batch_that_is_not_confirmed_is_not_taken_for_done() -> None:
    """If the write concern was not met, no outcome is known: every save is `StoreUnavailable`."""
    answer = {"writeErrors": [], "nMatched": 2, "writeConcernErrors": [{"code": 64, "errmsg": "timed out"}]}
    updates = [VersionedUpdate(task_id=f"task_{number}", version=1, update={"$set": {"a": 1}}) for number in (1, 2)]

    with pytest.raises(StoreUnavailable):
        await update_each(AnsweringTasks(answer), updates)  # type: ignore[arg-type]


async def test_a_save_that_a_stopping_server_refused_may_be_tried_again() -> None:
    """A transient error is distinguished from a stale version and from a permanent error."""
    errors = [
        {"index": 0, "code": 11600, "errmsg": "interrupted at shutdown"},
        {"index": 1, "code": 241, "errmsg": "cannot convert"},
        {"index": 2, "code": 17419, "errmsg": "too large"},
    ]
    updates = [VersionedUpdate(task_id=f"task_{number}", version=1, update={"$set": {"a": 1}}) for number in range(4)]
    tasks = AnsweringTasks({"writeErrors": errors, "nMatched": 1, "writeConcernErrors": []})

    outcomes = await update_each(tasks, updates)  # type: ignore[arg-type]

    assert [type(each) for each in outcomes] == [StoreUnavailable, Stale, OperationFailure, type(None)]
