"""When a worker takes another one for gone."""

from collections.abc import Collection
from datetime import datetime, timedelta

from core import transitions
from core.tasks import State
from tests.unit.services.execution_fixture import LEASE_S, TEXT, ScriptedService, Stage


async def submitting(stage: Stage) -> str:
    """A task that another worker submits; its lease is fresh."""
    task_id = await stage.new_task()
    task = await stage.task(task_id)
    await stage.tasks.save(transitions.begun(task, choice=0, owner="other:1", lease_s=LEASE_S, now=stage.now))
    return task_id


async def outage(stage: Stage) -> None:
    """The database is away for longer than a lease, and upkeep meets that."""
    stage.tasks.reachable = False
    stage.later(LEASE_S + 10.0)
    await stage.upkeep.renew()
    stage.tasks.reachable = True


async def test_silence_while_the_database_is_away_is_nobodys_death() -> None:
    """Right after an outage a lease that ran out in it is let be, so that its holder can record what it learned."""
    stage = Stage(ScriptedService(submit=[TEXT]))
    task_id = await submitting(stage)
    await outage(stage)

    stage.later(LEASE_S - 1.0)
    await stage.advance(task_id)

    assert (await stage.task(task_id)).state is State.SUBMITTING


async def test_silence_after_an_outage_is_a_death() -> None:
    """One lease after the outage who has not renewed is gone: the task ends as unknown."""
    stage = Stage(ScriptedService(submit=[TEXT]))
    task_id = await submitting(stage)
    await outage(stage)

    stage.later(LEASE_S)
    await stage.upkeep.reconcile()
    await stage.play_due()

    task = await stage.task(task_id)
    assert (task.state, task.failure and task.failure.code) == (State.FAILED, "outcome_unknown")


async def test_a_database_that_was_slow_to_answer_was_away() -> None:
    """A call that hung and then was answered shows an outage as a refused one does."""
    stage = Stage(ScriptedService(submit=[TEXT]))
    task_id = await submitting(stage)
    answer = stage.tasks.renew

    async def slowly(*, owners: Collection[str], until: datetime) -> None:
        stage.later(LEASE_S + 10.0)
        await answer(owners=owners, until=until)

    stage.tasks.renew = slowly  # type: ignore[method-assign]
    await stage.upkeep.renew()
    await stage.advance(task_id)

    assert (await stage.task(task_id)).state is State.SUBMITTING


async def test_a_task_that_nobody_holds_is_taken_at_any_time() -> None:
    """Distrust concerns holders: what waits for a copy without one is taken up right after an outage."""
    stage = Stage(ScriptedService(submit=[TEXT]))
    task = await stage.task(await stage.new_task())

    stage.leases.distrust(until=stage.now + timedelta(seconds=LEASE_S))

    assert stage.leases.ran_out(task, stage.now)
