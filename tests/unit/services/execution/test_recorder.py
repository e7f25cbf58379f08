"""Putting on record what happened, and the wake that follows."""

import asyncio
from datetime import timedelta

import pytest
import structlog

from core import transitions
from core.errors import Stale, StoreUnavailable
from core.failures import failure_of
from core.tasks import State, Task
from polyrelay import Unavailable
from services.execution.recorder import Recorder, persistently
from tests.unit.services.execution_fixture import TEXT, ScriptedService, Stage, pending


async def begun(stage: Stage) -> Task:
    """A task that is being submitted, not on record yet in that version."""
    task = await stage.task(await stage.new_task())
    stage.queue.take_due(stage.now)
    return transitions.begun(task, choice=0, owner="w:1", lease_s=30.0, now=stage.now)


async def test_a_record_queues_the_next_wake() -> None:
    """A task that waits is on record and its wake is queued for the moment on record."""
    stage = Stage(ScriptedService(submit=[TEXT]))
    task = await begun(stage)
    await stage.tasks.save(task)
    waiting = transitions.accepted(task, pending(), poll_at=stage.now + timedelta(seconds=9), now=stage.now)

    await Recorder(stage.tasks, stage.queue, stage.quotas).record(waiting)

    assert await stage.task(task.id) == waiting
    assert stage.queue.next_at() == waiting.wake_at


async def test_a_leased_task_gets_no_wake() -> None:
    """Whoever holds a lease works on it already; only upkeep looks at it when that runs out."""
    stage = Stage(ScriptedService(submit=[TEXT]))

    await Recorder(stage.tasks, stage.queue, stage.quotas).record(await begun(stage))

    assert stage.queue.wakes == []


async def test_a_lost_race_is_logged_with_the_operation() -> None:
    """What cannot be recorded because another wrote first is in the log: the vendor may have been paid for it."""
    stage = Stage(ScriptedService(submit=[TEXT]))
    task = await begun(stage)
    await stage.tasks.save(task)
    waiting = transitions.accepted(task, pending("op-paid"), poll_at=stage.now, now=stage.now)
    failure = failure_of(Unavailable("x"))
    await stage.tasks.save(transitions.ended_unhappily(task, failure, again_at=stage.now, choice=0, now=stage.now))

    with structlog.testing.capture_logs() as logs, pytest.raises(Stale):
        await Recorder(stage.tasks, stage.queue, stage.quotas).record(waiting)

    assert [entry["operation"] for entry in logs if entry["event"] == "step_lost_to_another"] == ["op-paid"]
    assert stage.queue.wakes == []


async def test_the_same_end_is_not_told_twice() -> None:
    """Of two who learned the same in the same millisecond one recorded it; to the other it is somebody else's."""
    stage = Stage(ScriptedService(submit=[TEXT]))
    task = await begun(stage)
    await stage.tasks.save(task)
    told: list[Task] = []
    ended = transitions.finished(task, (), None, now=stage.now)
    recorder = Recorder(stage.tasks, stage.queue, stage.quotas, on_change=told.append)

    await recorder.record(ended)
    with pytest.raises(Stale):
        await recorder.record(ended)

    assert told == [ended]


async def test_a_record_that_is_cut_off_is_logged_with_the_operation() -> None:
    """A worker that must stop while the database is away says in its log what it could not record."""
    stage = Stage(ScriptedService(submit=[TEXT]))
    task = await begun(stage)
    await stage.tasks.save(task)
    waiting = transitions.accepted(task, pending("op-paid"), poll_at=stage.now, now=stage.now)
    stage.tasks.reachable = False

    with structlog.testing.capture_logs() as logs:
        step = asyncio.create_task(Recorder(stage.tasks, stage.queue, stage.quotas).record(waiting))
        await stage.tasks.on_refusal.wait()
        step.cancel()
        await asyncio.gather(step, return_exceptions=True)

    assert [entry["operation"] for entry in logs if entry["event"] == "step_not_recorded"] == ["op-paid"]


async def test_a_claim_is_exclusive() -> None:
    """Of two claims of the same version, one is refused, even where the refused one's answer had been lost before."""
    stage = Stage(ScriptedService(submit=[TEXT]))
    mine = await begun(stage)
    other = transitions.begun(await stage.task(mine.id), choice=0, owner="w:2", lease_s=30.0, now=stage.now)
    recorder = Recorder(stage.tasks, stage.queue, stage.quotas)
    await recorder.claim(other)

    with pytest.raises(Stale):
        await recorder.claim(mine)
    stage.tasks.faults = ["lost"]
    with pytest.raises(StoreUnavailable):
        await recorder.claim(mine)

    assert await stage.task(mine.id) == other


async def test_a_removed_task_is_not_recorded() -> None:
    """A record of a task that was removed meanwhile is refused."""
    stage = Stage(ScriptedService(submit=[TEXT]))
    task = await begun(stage)
    await stage.tasks.delete(await stage.task(task.id))

    with pytest.raises(Stale):
        await Recorder(stage.tasks, stage.queue, stage.quotas).record(task)


async def test_other_errors_are_not_repeated() -> None:
    """Only an absent store is waited for; a defect comes out at once."""
    calls = []

    async def broken() -> None:
        calls.append(State.PENDING)
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="defect"):
        await persistently(broken)

    assert len(calls) == 1
