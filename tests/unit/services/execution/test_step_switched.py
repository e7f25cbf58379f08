"""Steps of tasks whose provider was switched while they were open."""

from datetime import timedelta

from core.switches import LAGGING, Mode, Switch
from core.task_states import State
from core.tasks import Choice
from polyrelay import Provider
from services.limits.admission import GateLimits
from tests.unit.services.execution_fixture import TEXT, ExecutionFixture, ScriptedService, pending


def switch(execution_fixture: ExecutionFixture, mode: Mode, *, provider: str = "studio") -> None:
    """The operator switches the provider now."""
    execution_fixture.registry.switches = {provider: Switch(mode=mode, since=execution_fixture.now)}


async def test_nothing_is_submitted_to_a_disabled_provider() -> None:
    """A pending task waits, is woken again, and is submitted once the provider is enabled."""
    service = ScriptedService(submit=[TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    switch(execution_fixture, Mode.DISABLED)
    await execution_fixture.play_due()

    waiting = await execution_fixture.task(task_id)
    assert (waiting.state, service.submits) == (State.PENDING, [])
    assert waiting.wake_at is not None
    assert timedelta(seconds=5) <= waiting.wake_at - execution_fixture.now <= timedelta(seconds=15)

    switch(execution_fixture, Mode.ENABLED)
    await execution_fixture.play()
    assert (await execution_fixture.task(task_id)).state is State.COMPLETED
    assert len(service.submits) == 1


async def test_a_task_of_a_disabled_provider_ends_at_its_deadline() -> None:
    """It fails with a reason, and was never submitted."""
    service = ScriptedService(submit=[TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task(deadline_s=40.0)
    switch(execution_fixture, Mode.DISABLED)
    await execution_fixture.play()

    task = await execution_fixture.task(task_id)
    assert (task.state, service.submits) == (State.FAILED, [])
    assert task.failure is not None
    assert "an operator switched it off" in task.failure.message
    assert execution_fixture.now - task.deadline < timedelta(seconds=1)


async def test_an_operation_of_a_disabled_provider_is_polled_to_its_end() -> None:
    """An open operation is paid for, so it is polled to its end."""
    service = ScriptedService(submit=[pending()], poll=[pending(), TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    await execution_fixture.play_due()
    switch(execution_fixture, Mode.DISABLED)
    await execution_fixture.play()

    assert (await execution_fixture.task(task_id)).state is State.COMPLETED


async def test_a_draining_provider_gets_tasks_from_before() -> None:
    """A pending task that was created before the switch is submitted."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    task_id = await execution_fixture.new_task()
    switch(execution_fixture, Mode.DRAINING)
    await execution_fixture.play()

    assert (await execution_fixture.task(task_id)).state is State.COMPLETED


async def test_a_task_goes_to_its_fallback_if_its_provider_is_switched_off() -> None:
    """For a disabled provider always; for a draining one, if the task was created after the switch."""
    for mode, age in ((Mode.DISABLED, timedelta()), (Mode.DRAINING, LAGGING + timedelta(seconds=1))):
        first, second = ScriptedService(submit=[TEXT]), ScriptedService(submit=[TEXT])
        execution_fixture = ExecutionFixture(first, others=[Provider("other", [second])])
        switch(execution_fixture, mode)
        execution_fixture.now += age
        task_id = await execution_fixture.new_task(fallbacks=(Choice(provider="other", model="pen-1"),))
        await execution_fixture.play()

        assert (await execution_fixture.task(task_id)).state is State.COMPLETED
        assert (len(first.submits), len(second.submits)) == (0, 1)


async def test_tasks_leave_the_wait_queue_of_a_disabled_provider() -> None:
    """A task that waits for a full gate goes to its fallback when it is woken, and leaves the wait queue."""
    first, second = ScriptedService(submit=[pending()], poll=[pending()]), ScriptedService(submit=[TEXT])
    execution_fixture = ExecutionFixture(
        first, others=[Provider("other", [second])], limits=GateLimits(models={"pen-1": 1})
    )
    await execution_fixture.new_task()
    waiting = await execution_fixture.new_task(fallbacks=(Choice(provider="other", model="pen-1"),))
    await execution_fixture.play_due()
    assert await execution_fixture.gates.in_wait_queue([waiting]) == [True]
    switch(execution_fixture, Mode.DISABLED)
    await execution_fixture.step(waiting)

    assert (await execution_fixture.task(waiting)).state is State.COMPLETED
    assert await execution_fixture.gates.in_wait_queue([waiting]) == [False]
