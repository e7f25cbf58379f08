"""Leases kept and lost wakes repaired, by the record."""

import structlog

from core import transitions
from core.task_states import State
from services.execution.leases import Leases
from tests.unit.services.execution_fixture import LEASE_S, TEXT, ExecutionFixture, ScriptedService, pending


async def test_lost_wakes_are_repaired_in_pages() -> None:
    """All overdue tasks are woken, however many pages that takes, and each of them once."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    ids = [await execution_fixture.new_task(id=f"task_{number:04}") for number in range(450)]
    execution_fixture.queue.take_due(execution_fixture.now)
    execution_fixture.later(60.0)

    assert await execution_fixture.reconciler.reconcile() == 450

    assert sorted(wake.task_id for wake in execution_fixture.queue.wakes) == ids
    await execution_fixture.play_due()
    assert {(await execution_fixture.task(task_id)).state for task_id in ids} == {State.COMPLETED}


async def test_a_wake_that_was_put_back_is_not_repaired() -> None:
    """A task that is polled without news looks overdue for ever, and its wake is there."""
    execution_fixture = ExecutionFixture(
        ScriptedService(submit=[pending(poll_after_s=5.0)], poll=[pending(poll_after_s=60.0)])
    )
    task_id = await execution_fixture.new_task()
    await execution_fixture.play_due()
    execution_fixture.later(5.0)
    await execution_fixture.play_due()
    next_at = execution_fixture.queue.next_at()
    execution_fixture.later(30.0)

    assert await execution_fixture.reconciler.reconcile() == 0

    assert (execution_fixture.queue.wakes, execution_fixture.queue.next_at()) == ([], next_at)
    assert [task.id for task in await execution_fixture.tasks.overdue(before=execution_fixture.now)] == [task_id]


async def test_a_chain_of_polls_that_was_lost_goes_on() -> None:
    """The wake of the record is queued again, and polls on as the same one."""
    service = ScriptedService(submit=[pending(poll_after_s=5.0)], poll=[pending(poll_after_s=5.0)])
    execution_fixture = ExecutionFixture(service)
    await execution_fixture.new_task()
    for _ in range(3):
        await execution_fixture.play_due()
        execution_fixture.later(5.0)
    execution_fixture.queue.wakes, execution_fixture.queue.put_back = [], {}  # all data in Redis are lost
    execution_fixture.later(5.0)

    assert await execution_fixture.reconciler.reconcile() == 1
    await execution_fixture.play_due()
    assert len(execution_fixture.queue.put_back) == 1
    assert await execution_fixture.reconciler.reconcile() == 0
    assert len(service.polls) == 3


async def test_overdue_tasks_whose_wakes_are_there_hide_no_lost_one() -> None:
    """A lost wake behind more than a page of tasks that are polled without news is found in the same look."""
    execution_fixture = ExecutionFixture(
        ScriptedService(submit=[pending(poll_after_s=5.0)], poll=[pending(poll_after_s=60.0)])
    )
    for number in range(1300):
        await execution_fixture.new_task(id=f"task_{number:04}")
    await execution_fixture.play_due()
    execution_fixture.later(5.0)
    await execution_fixture.play_due()
    lost = await execution_fixture.new_task(id="task_last")
    execution_fixture.queue.wakes = []
    execution_fixture.later(10.0)

    assert await execution_fixture.reconciler.reconcile() == 1
    assert [wake.task_id for wake in execution_fixture.queue.wakes] == [lost]


async def test_a_wake_that_may_still_come_is_not_repeated() -> None:
    """A task whose time has only just come, or is still to come, is not woken by upkeep."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    await execution_fixture.new_task()
    execution_fixture.queue.take_due(execution_fixture.now)
    execution_fixture.later(4.0)

    assert await execution_fixture.reconciler.reconcile() == 0
    assert execution_fixture.queue.wakes == []


async def test_finished_tasks_are_not_woken() -> None:
    """A final task has no time at which somebody must look at it."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    await execution_fixture.new_task()
    await execution_fixture.play()
    execution_fixture.later(10**6)

    assert await execution_fixture.reconciler.reconcile() == 0


async def test_only_running_work_is_renewed() -> None:
    """A lease is prolonged while its block runs, together with the moment at which the task is looked at."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    leases = Leases("w", lease_s=LEASE_S)
    reconciler = execution_fixture.reconciler_of(leases)
    with leases.held() as owner:
        task_id = await held_by(execution_fixture, owner)
        execution_fixture.later(10.0)
        await reconciler.renew()
        renewed = await execution_fixture.task(task_id)
        assert renewed.lease is not None
        assert (renewed.lease.until - execution_fixture.now).total_seconds() == LEASE_S
        assert renewed.wake_at == renewed.lease.until

    execution_fixture.later(10.0)
    await reconciler.renew()
    assert await execution_fixture.task(task_id) == renewed


def test_owners_are_unlike_each_other() -> None:
    """Two pieces of work of one worker never share an owner, also one after the other."""
    leases = Leases("w", lease_s=LEASE_S)
    with leases.held() as first, leases.held() as second:
        assert leases.owners == {first, second}
    with leases.held() as third:
        assert len({first, second, third}) == 3
    assert leases.owners == frozenset()


async def test_upkeep_outlives_the_database() -> None:
    """Upkeep logs that the database is away and comes back the next time."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    execution_fixture.tasks.reachable = False

    with structlog.testing.capture_logs() as logs, execution_fixture.leases.held():
        assert await execution_fixture.reconciler.reconcile() == 0
        await execution_fixture.reconciler.renew()

    assert {entry["event"] for entry in logs} == {"reconcile_interrupted", "lease_renewal_failed"}


async def test_upkeep_outlives_the_queue() -> None:
    """Wakes that cannot be queued are repaired the next time."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    await execution_fixture.new_task()
    execution_fixture.queue.take_due(execution_fixture.now)
    execution_fixture.later(60.0)
    execution_fixture.queue.reachable = False
    assert await execution_fixture.reconciler.reconcile() == 0

    execution_fixture.queue.reachable = True
    assert await execution_fixture.reconciler.reconcile() == 1


async def held_by(execution_fixture: ExecutionFixture, owner: str) -> str:
    """A task that `owner` submits."""
    task_id = await execution_fixture.new_task()
    await execution_fixture.tasks.save(
        transitions.begun(
            await execution_fixture.task(task_id), choice=0, owner=owner, lease_s=LEASE_S, now=execution_fixture.now
        )
    )
    return task_id
