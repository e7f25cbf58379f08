"""An exception of a plugin that would end the process ends the attempt only."""

import asyncio
from typing import Any, NoReturn

import pytest

from core.task_states import State
from tests.unit.services.execution_fixture import TEXT, ExecutionFixture, ScriptedService, pending

ODD = [SystemExit(3), KeyboardInterrupt(), BaseException("?")]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
async def test_a_submit_that_raises_no_provider_error_fails_its_task(odd: BaseException) -> None:
    """The failure names the exception. The task is not submitted again: the vendor may have accepted it."""
    service = ScriptedService(submit=[odd])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    await execution_fixture.play()

    task = await execution_fixture.task(task_id)
    assert task.state is State.FAILED
    assert task.failure is not None
    assert f"the provider plugin raised {type(odd).__name__}" in task.failure.message
    assert len(service.submits) == 1


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
async def test_a_poll_that_raises_no_provider_error_is_repeated(odd: BaseException) -> None:
    """The operation is polled again, so a paid generation is not lost."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[pending()], poll=[odd, TEXT]))
    task_id = await execution_fixture.new_task()
    await execution_fixture.play()

    assert (await execution_fixture.task(task_id)).state is State.COMPLETED


async def test_a_cancellation_of_the_plugins_own_is_its_defect() -> None:
    """If the step is not cancelled, a CancelledError is the plugin's own and counts as its defect."""

    def cancelled() -> NoReturn:
        raise asyncio.CancelledError

    execution_fixture = ExecutionFixture(ScriptedService(submit=[cancelled]))
    task_id = await execution_fixture.new_task()
    await execution_fixture.play()

    task = await execution_fixture.task(task_id)
    assert task.failure is not None
    assert "the provider plugin raised CancelledError" in task.failure.message


async def test_a_submit_method_that_cannot_be_read_fails_its_task() -> None:
    """Reading the method runs plugin code, too: an exception there ends the attempt."""

    class Unreadable(ScriptedService):
        broken = False

        def __getattribute__(self, name: str) -> Any:
            if name == "submit" and type(self).broken:
                raise RuntimeError("unreadable")
            return super().__getattribute__(name)

    execution_fixture = ExecutionFixture(Unreadable(submit=[TEXT]))
    task_id = await execution_fixture.new_task()
    Unreadable.broken = True
    await execution_fixture.play()

    task = await execution_fixture.task(task_id)
    assert task.state is State.FAILED
    assert task.failure is not None
    assert "the provider plugin raised RuntimeError" in task.failure.message
