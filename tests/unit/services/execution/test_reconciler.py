"""The reconciler of a worker: renewed leases and repaired wakes."""

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
    """A task that is polled without news stays overdue, but its wake is in the queue."""
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


async def test_a_lost_chain_of_polls_continues() -> None:
    """The wake of the stored `wake_at` is queued again under the same name, and polling continues."""
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


async def test_overdue_tasks_with_wakes_hide_no_lost_wake() -> None:
    """A lost wake after more than one page of tasks that are polled without news is found in the same run."""
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
    """A task whose `wake_at` has just passed, or has not passed, is not woken by the reconciler."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    await execution_fixture.new_task()
    execution_fixture.queue.take_due(execution_fixture.now)
    execution_fixture.later(4.0)

    assert await execution_fixture.reconciler.reconcile() == 0
    assert execution_fixture.queue.wakes == []


async def test_finished_tasks_are_not_woken() -> None:
    """A final task has no `wake_at`."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    await execution_fixture.new_task()
    await execution_fixture.play()
    execution_fixture.later(10**6)

    assert await execution_fixture.reconciler.reconcile() == 0


async def test_only_running_work_is_renewed() -> None:
    """A lease and the `wake_at` of its task are renewed while the block of its owner runs."""
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
    """Two pieces of work of one worker never have the same owner, even one after the other."""
    leases = Leases("w", lease_s=LEASE_S)
    with leases.held() as first, leases.held() as second:
        assert leases.owners == {first, second}
    with leases.held() as third:
        assert len({first, second, third}) == 3
    assert leases.owners == frozenset()


async def test_the_reconciler_survives_an_outage_of_the_database() -> None:
    """If MongoDB is unavailable, the reconciler logs it and works at its next run."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    execution_fixture.tasks.reachable = False

    with structlog.testing.capture_logs() as logs, execution_fixture.leases.held():
        assert await execution_fixture.reconciler.reconcile() == 0
        await execution_fixture.reconciler.renew()

    assert {entry["event"] for entry in logs} == {"reconcile_interrupted", "lease_renewal_failed"}


async def test_the_reconciler_survives_an_outage_of_the_queue() -> None:
    """Wakes that cannot be queued are repaired by the next run."""
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
