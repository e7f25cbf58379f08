"""The recorder: saved versions and their wakes."""

import asyncio
from datetime import timedelta

import pytest
import structlog

from core import transitions
from core.errors import Stale, StoreUnavailable
from core.failures import failure_of
from core.task_states import State
from core.tasks import Task
from polyrelay import Unavailable
from services.execution.recorder import Recorder, persistently
from tests.unit.services.execution_fixture import TEXT, ExecutionFixture, ScriptedService, pending


async def begun(execution_fixture: ExecutionFixture) -> Task:
    """A task in `submitting` whose version is not saved yet."""
    task = await execution_fixture.task(await execution_fixture.new_task())
    execution_fixture.queue.take_due(execution_fixture.now)
    return transitions.begun(task, choice=0, owner="w:1", lease_s=30.0, now=execution_fixture.now)


async def test_a_saved_task_has_its_next_wake_queued() -> None:
    """A waiting task is saved, and its wake is queued for the saved `wake_at`."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    task = await begun(execution_fixture)
    await execution_fixture.tasks.save(task)
    waiting = transitions.accepted(
        task, pending(), poll_at=execution_fixture.now + timedelta(seconds=9), now=execution_fixture.now
    )

    await Recorder(execution_fixture.tasks, execution_fixture.queue, execution_fixture.quotas).record(waiting)

    assert await execution_fixture.task(task.id) == waiting
    assert execution_fixture.queue.next_at() == waiting.wake_at


async def test_a_leased_task_gets_no_wake() -> None:
    """Its holder works on the task; only the reconciler wakes it when the lease expires."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))

    await Recorder(execution_fixture.tasks, execution_fixture.queue, execution_fixture.quotas).record(
        await begun(execution_fixture)
    )

    assert execution_fixture.queue.wakes == []


async def test_a_write_conflict_is_logged_with_the_operation() -> None:
    """If another process wrote first, the operation that was not saved is in the log: it may have been paid for."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    task = await begun(execution_fixture)
    await execution_fixture.tasks.save(task)
    waiting = transitions.accepted(task, pending("op-paid"), poll_at=execution_fixture.now, now=execution_fixture.now)
    failure = failure_of(Unavailable("x"))
    await execution_fixture.tasks.save(
        transitions.attempt_failed(task, failure, again_at=execution_fixture.now, choice=0, now=execution_fixture.now)
    )

    with structlog.testing.capture_logs() as logs, pytest.raises(Stale):
        await Recorder(execution_fixture.tasks, execution_fixture.queue, execution_fixture.quotas).record(waiting)

    assert [entry["operation"] for entry in logs if entry["event"] == "write_conflict"] == ["op-paid"]
    assert execution_fixture.queue.wakes == []


async def test_the_same_outcome_is_saved_by_one_worker() -> None:
    """Of two workers with the same outcome in the same millisecond one saves it; for the other the write is stale."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    task = await begun(execution_fixture)
    await execution_fixture.tasks.save(task)
    reported: list[Task] = []
    ended = transitions.finished(task, (), None, now=execution_fixture.now)
    recorder = Recorder(
        execution_fixture.tasks, execution_fixture.queue, execution_fixture.quotas, on_change=reported.append
    )

    await recorder.record(ended)
    with pytest.raises(Stale):
        await recorder.record(ended)

    assert reported == [ended]


async def test_an_interrupted_save_is_logged_with_the_operation() -> None:
    """A worker that stops while MongoDB is unavailable logs the operation that it could not save."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    task = await begun(execution_fixture)
    await execution_fixture.tasks.save(task)
    waiting = transitions.accepted(task, pending("op-paid"), poll_at=execution_fixture.now, now=execution_fixture.now)
    execution_fixture.tasks.reachable = False

    with structlog.testing.capture_logs() as logs:
        step = asyncio.create_task(
            Recorder(execution_fixture.tasks, execution_fixture.queue, execution_fixture.quotas).record(waiting)
        )
        await execution_fixture.tasks.on_refusal.wait()
        step.cancel()
        await asyncio.gather(step, return_exceptions=True)

    assert [entry["operation"] for entry in logs if entry["event"] == "save_interrupted"] == ["op-paid"]


async def test_a_claim_is_exclusive() -> None:
    """Of two claims of the same version one is refused, even if the response to the refused write was lost before."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    mine = await begun(execution_fixture)
    other = transitions.begun(
        await execution_fixture.task(mine.id), choice=0, owner="w:2", lease_s=30.0, now=execution_fixture.now
    )
    recorder = Recorder(execution_fixture.tasks, execution_fixture.queue, execution_fixture.quotas)
    await recorder.claim(other)

    with pytest.raises(Stale):
        await recorder.claim(mine)
    execution_fixture.tasks.faults = ["lost"]
    with pytest.raises(StoreUnavailable):
        await recorder.claim(mine)

    assert await execution_fixture.task(mine.id) == other


async def test_a_deleted_task_is_not_saved() -> None:
    """Saving a task that was deleted meanwhile is refused."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    task = await begun(execution_fixture)
    await execution_fixture.tasks.delete(await execution_fixture.task(task.id))

    with pytest.raises(Stale):
        await Recorder(execution_fixture.tasks, execution_fixture.queue, execution_fixture.quotas).record(task)


async def test_other_errors_are_not_repeated() -> None:
    """Only `StoreUnavailable` is retried; any other exception is raised at once."""
    calls = []

    async def broken() -> None:
        calls.append(State.PENDING)
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="defect"):
        await persistently(broken)

    assert len(calls) == 1
