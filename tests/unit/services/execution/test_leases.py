"""When a worker treats the lease of another worker as expired."""

from collections.abc import Collection
from datetime import datetime, timedelta

from core import transitions
from core.task_states import State
from tests.unit.services.execution_fixture import LEASE_S, TEXT, ExecutionFixture, ScriptedService


async def submitting(execution_fixture: ExecutionFixture) -> str:
    """A task that another worker submits; its lease is fresh."""
    task_id = await execution_fixture.new_task()
    task = await execution_fixture.task(task_id)
    await execution_fixture.tasks.save(
        transitions.begun(task, choice=0, owner="other:1", lease_s=LEASE_S, now=execution_fixture.now)
    )
    return task_id


async def outage(execution_fixture: ExecutionFixture) -> None:
    """MongoDB is unavailable for longer than a lease, and the reconciler notices it."""
    execution_fixture.tasks.reachable = False
    execution_fixture.later(LEASE_S + 10.0)
    await execution_fixture.reconciler.renew()
    execution_fixture.tasks.reachable = True


async def test_a_lease_does_not_expire_right_after_an_outage() -> None:
    """Right after an outage, a lease that ended in it does not count as expired: its holder can save its outcome."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    task_id = await submitting(execution_fixture)
    await outage(execution_fixture)

    execution_fixture.later(LEASE_S - 1.0)
    await execution_fixture.step(task_id)

    assert (await execution_fixture.task(task_id)).state is State.SUBMITTING


async def test_a_lease_that_is_not_renewed_after_an_outage_expires() -> None:
    """A lease that is not renewed within one lease after the outage expires: the task fails with `outcome_unknown`."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    task_id = await submitting(execution_fixture)
    await outage(execution_fixture)

    execution_fixture.later(LEASE_S)
    await execution_fixture.reconciler.reconcile()
    await execution_fixture.play_due()

    task = await execution_fixture.task(task_id)
    assert (task.state, task.failure and task.failure.code) == (State.FAILED, "outcome_unknown")


async def test_a_slow_response_of_the_database_counts_as_an_outage() -> None:
    """A call that hung before it succeeded shows an outage, as a refused call does."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    task_id = await submitting(execution_fixture)
    answer = execution_fixture.tasks.renew

    async def slowly(*, owners: Collection[str], until: datetime) -> None:
        execution_fixture.later(LEASE_S + 10.0)
        await answer(owners=owners, until=until)

    execution_fixture.tasks.renew = slowly  # type: ignore[method-assign]
    await execution_fixture.reconciler.renew()
    await execution_fixture.step(task_id)

    assert (await execution_fixture.task(task_id)).state is State.SUBMITTING


async def test_a_task_without_a_lease_is_taken_up_during_distrust() -> None:
    """Only leases are concerned: a task without a lease is taken up right after an outage."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    task = await execution_fixture.task(await execution_fixture.new_task())

    execution_fixture.leases.distrust(until=execution_fixture.now + timedelta(seconds=LEASE_S))

    assert execution_fixture.leases.expired(task, execution_fixture.now)


async def test_a_shorter_distrust_does_not_shorten_a_longer_one() -> None:
    """After an outage, a later call with an earlier moment does not let leases expire before the first moment."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    task = await execution_fixture.task(await submitting(execution_fixture))
    leases, expired_at = execution_fixture.leases, execution_fixture.now + timedelta(seconds=LEASE_S)

    leases.distrust(until=expired_at + timedelta(seconds=20))
    leases.distrust(until=expired_at + timedelta(seconds=10))

    assert not leases.expired(task, expired_at + timedelta(seconds=19))
    assert leases.expired(task, expired_at + timedelta(seconds=20))
