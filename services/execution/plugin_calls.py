"""The border to a provider's code: a plugin may raise, answer or refuse anything, and may never answer at all."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from core.tasks import Task, TaskInput
from polyrelay import (
    Cancels,
    Done,
    Job,
    Model,
    Outcome,
    OutcomeUnknown,
    Output,
    Params,
    Pending,
    ProtocolError,
    ProviderError,
)

log = structlog.get_logger(__name__)


class InputNotTaken(Exception):
    """The stored input is not what the model takes in this version."""


async def asked(ask: Callable[[], Awaitable[Outcome]], *, within_s: float) -> Outcome:
    """
    What the provider answers.

    Raises:
        ProviderError: What the provider raised; whatever else it raises or answers becomes a `ProtocolError`.
        OutcomeUnknown: It did not answer in time.
    """
    try:
        async with asyncio.timeout(within_s):
            return _checked(await _answer_of_plugin(ask))
    except TimeoutError as error:
        raise OutcomeUnknown("the provider did not answer by the task's deadline") from error


async def _answer_of_plugin(ask: Callable[[], Awaitable[Outcome]]) -> object:
    try:
        return await ask()
    except ProviderError:
        raise
    except BaseException as error:  # plugin code; a SystemExit would end the whole process
        _pass_on_ours(error)
        log.exception("provider_defect")
        raise ProtocolError(f"the provider plugin raised {type(error).__name__}") from error


def _pass_on_ours(error: BaseException) -> None:
    """Raise it again if it is how asyncio ends the step, and not the plugin's own."""
    step = asyncio.current_task()
    cancelled = isinstance(error, asyncio.CancelledError) and step is not None and step.cancelling()
    if cancelled or isinstance(error, GeneratorExit):
        raise error


def _checked(outcome: object) -> Outcome:
    """An answer that keeps the contract; types are not checked when a plugin makes a value."""
    match outcome:
        case Pending(operation=str(), poll_after_s=int() | float()):
            return outcome
        case Done(outputs=tuple(outputs)) if outputs and all(isinstance(output, Output) for output in outputs):
            return outcome
        case _:
            log.error("provider_defect", answer=type(outcome).__name__)
            raise ProtocolError(f"the provider plugin answered {type(outcome).__name__} against its contract")


async def cancel_asked(service: Cancels, job: Job[Params], operation: str, *, within_s: float) -> None:
    """
    Have the provider ask its vendor to stop.

    Raises:
        ProviderError: It did not, or not in time.
    """
    try:
        async with asyncio.timeout(within_s):
            await service.cancel(job, operation)
    except ProviderError:
        raise
    except TimeoutError as error:
        raise OutcomeUnknown("the provider did not answer in time") from error
    except BaseException as error:  # plugin code; a SystemExit would end the whole process
        _pass_on_ours(error)
        log.exception("provider_defect")
        raise ProtocolError(f"the provider plugin raised {type(error).__name__}") from error


def job_of(task: Task, model: Model, task_input: TaskInput, *, attempt: int) -> Job[Params]:
    """
    One attempt at the task as a service sees it.

    Raises:
        InputNotTaken: The input does not fit the model's params in this version.
    """
    return Job(
        task_id=task.id,
        attempt=attempt,
        model=model.name,
        params=_params(model, task_input),
        deadline=task.deadline,
    )


def _params(model: Model, task_input: TaskInput) -> Params:
    try:
        return msgspec.convert(task_input, model.params)
    except Exception as error:  # a plugin's `__post_init__` may raise anything
        raise InputNotTaken(f"{model.name} does not take this input here: {error}") from error
