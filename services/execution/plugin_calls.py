"""Plugin calls: isolate plugin code. Every call has a time limit, and every exception becomes a `ProviderError`."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

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
    Service,
)

LAST_RESPONSE_S: Final = 30.0
"""A submit or a poll that runs at the task's deadline is ended this many seconds after it."""

log = structlog.get_logger(__name__)


class InputMismatch(Exception):
    """The stored input does not fit the model's params in this version."""


def response_timeout_s(task: Task, now: datetime) -> float:
    """How long a provider may take for a response, in seconds: until `LAST_RESPONSE_S` after the task's deadline."""
    return max((task.deadline - now).total_seconds(), 0.0) + LAST_RESPONSE_S


async def submit(service: Service, job: Job[Params], *, within_s: float) -> Outcome:
    """
    Have the provider submit the job.

    Raises:
        ProviderError: What the provider raised. Any other exception, or a value that is no outcome, becomes a
            `ProtocolError`.
        OutcomeUnknown: There was no response within `within_s` seconds.
    """
    return await _outcome_of(lambda: service.submit(job), within_s=within_s)


async def poll(service: Service, job: Job[Params], operation: str, *, within_s: float) -> Outcome:
    """Have the provider poll the operation. Raises as `submit`."""
    return await _outcome_of(lambda: service.poll(job, operation), within_s=within_s)


async def cancel(service: Cancels, job: Job[Params], operation: str, *, within_s: float) -> None:
    """
    Have the provider ask its vendor to stop the operation.

    Raises:
        ProviderError: The vendor did not stop, or did not respond within `within_s` seconds.
    """
    try:
        async with asyncio.timeout(within_s):
            await service.cancel(job, operation)
    except ProviderError:
        raise
    except TimeoutError as error:
        raise OutcomeUnknown("the provider did not respond in time") from error
    except BaseException as error:  # plugin code; a SystemExit would end the whole process
        raise _defect(error) from error


def job_of(task: Task, model: Model, task_input: TaskInput, *, attempt: int) -> Job[Params]:
    """
    One attempt at the task as a service sees it.

    Raises:
        InputMismatch: The input does not fit the model's params in this version.
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
        raise InputMismatch(f"{model.name} does not take this input here: {error}") from error


async def _outcome_of(call: Callable[[], Awaitable[Outcome]], *, within_s: float) -> Outcome:
    try:
        async with asyncio.timeout(within_s):
            return _checked(await _isolated(call))
    except TimeoutError as error:
        raise OutcomeUnknown("the provider did not respond by the task's deadline") from error


async def _isolated(call: Callable[[], Awaitable[Outcome]]) -> object:
    try:
        return await call()
    except ProviderError:
        raise
    except BaseException as error:  # plugin code; a SystemExit would end the whole process
        raise _defect(error) from error


def _defect(error: BaseException) -> ProtocolError:
    """
    What an exception of a plugin that is no `ProviderError` becomes; it is logged.

    Raises:
        BaseException: The same exception, if asyncio raised it to end the step and not the plugin.
    """
    step = asyncio.current_task()
    cancelled = isinstance(error, asyncio.CancelledError) and step is not None and step.cancelling()
    if cancelled or isinstance(error, GeneratorExit):
        raise error
    log.exception("provider_defect")
    return ProtocolError(f"the provider plugin raised {type(error).__name__}")


def _checked(outcome: object) -> Outcome:
    """An outcome that keeps the contract: Python does not check types when a plugin makes a value."""
    match outcome:
        case Pending(operation=str(), poll_after_s=int() | float()):
            return outcome
        case Done(outputs=tuple(outputs)) if outputs and all(isinstance(output, Output) for output in outputs):
            return outcome
        case _:
            log.error("provider_defect", answer=type(outcome).__name__)
            raise ProtocolError(f"the provider plugin returned {type(outcome).__name__}, which violates its contract")
