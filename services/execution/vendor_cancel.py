"""Cancellation at the vendor: asks it to stop an operation, and ends tasks whose caller requested cancellation."""

from typing import Final

import structlog

from core import transitions
from core.attempts import Attempt, Failure
from core.clock import Clock
from core.errors import InvalidRequest
from core.registry import Registry
from core.task_repository import TaskRepository
from core.task_states import State
from core.tasks import Choice, Task, input_for
from polyrelay import Cancels, ProviderError
from services.execution import plugin_calls
from services.execution.recorder import Recorder
from services.execution.routing import Router
from services.execution.vendor_audit import VendorCalls
from services.limits.admission import Admissions

CANCEL_TIMEOUT_S: Final = 10.0
"""How long a vendor may take to respond to a cancel, in seconds."""

STOPPED: Final = "cancelled; the vendor confirmed that it stopped"
NOT_STOPPED: Final = "cancelled; the vendor did not stop, or cannot be asked to: it may still finish and bill"

log = structlog.get_logger(__name__)


class CancelStep:
    """
    The step of a task whose caller requested cancellation.

    Args:
        tasks: For the input.
        registry: Which models this process serves.
        router: Finds the route of the attempt.
        calls: Writes calls to vendors to the audit log.
        recorder: Saves what happened.
        admissions: Ends the holds of the task.
        clock: Now.
    """

    def __init__(
        self,
        *,
        tasks: TaskRepository,
        registry: Registry,
        router: Router,
        calls: VendorCalls,
        recorder: Recorder,
        admissions: Admissions,
        clock: Clock,
    ) -> None:
        self._tasks = tasks
        self._registry = registry
        self._router = router
        self._calls = calls
        self._recorder = recorder
        self._admissions = admissions
        self._clock = clock

    async def __call__(self, task: Task) -> None:
        """
        Ask the vendor of a waiting task to stop, where it can be asked, then cancel the task whatever it responded.

        Raises:
            AuditFailed, StoreUnavailable: Before the vendor was asked; repeat the step later.
            Stale: Another process changed the task first.
        """
        message = "cancelled; nothing was open at the vendor"
        if task.state is State.WAITING:
            if self._router.route_of_attempt(task) is None and self._clock() < task.deadline:
                return  # a worker that serves the model asks the vendor
            stopped = await vendor_stopped(task, self._tasks, self._registry, self._calls)
            message = STOPPED if stopped else NOT_STOPPED
        failure = Failure(code="cancelled", message=message)
        await self._recorder.record(transitions.cancelled(task, failure, now=self._clock()))
        await self._admissions.leave(task.id)


async def vendor_stopped(task: Task, tasks: TaskRepository, registry: Registry, calls: VendorCalls) -> bool:
    """
    Ask the vendor of the task's open attempt to stop, for at most `CANCEL_TIMEOUT_S`; returns whether it did.

    False if no operation is open, the vendor cannot be asked, or it responds that it is too late.

    Raises:
        TaskNotFound: The task was deleted.
        AuditFailed: The call cannot be written to the audit log; the vendor was not asked.
        StoreUnavailable: The same, or the task's input cannot be read.
    """
    attempt = task.attempts[-1] if task.attempts else None
    if attempt is None or attempt.ended is not None or attempt.operation is None:
        return False
    task_input = input_for(await tasks.get_input(task.id), _choice_of(task, attempt))
    try:
        route = registry.route_of(task, attempt)
        if not isinstance(route.service, Cancels):
            return False
        job = plugin_calls.job_of(task, route.model, task_input, attempt=attempt.number)
        call = await calls.begin_cancel(task)
        await call.perform(plugin_calls.cancel(route.service, job, attempt.operation, within_s=CANCEL_TIMEOUT_S))
    except (InvalidRequest, plugin_calls.InputMismatch, ProviderError) as error:
        log.info("vendor_cancel_failed", task_id=task.id, operation=attempt.operation, reason=str(error))
        return False
    return True


def _choice_of(task: Task, attempt: Attempt) -> Choice:
    """The choice that an attempt was made for."""
    name = (attempt.provider, attempt.model)
    return next((choice for choice in task.choices if (choice.provider, choice.model) == name), task.choices[0])
