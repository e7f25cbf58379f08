"""Asks a vendor to stop what it was given, where it can be asked."""

from functools import partial
from typing import Final

import structlog

from core.attempts import Attempt
from core.errors import InvalidRequest
from core.registry import Registry
from core.task_repository import TaskRepository
from core.tasks import Choice, Task, input_for
from polyrelay import Cancels, ProviderError
from services.execution.plugin_calls import InputNotTaken, cancel_asked, job_of
from services.execution.vendor_audit import VendorCalls

LONGEST_ASK_S: Final = 10.0

log = structlog.get_logger(__name__)


async def vendor_stopped(task: Task, tasks: TaskRepository, registry: Registry, calls: VendorCalls) -> bool:
    """
    Whether the vendor of the task's open attempt says that it stopped. It is asked at most `LONGEST_ASK_S` seconds.

    False where nothing is under way, or the vendor cannot be asked, or says that it is too late.

    Raises:
        TaskNotFound: The task is gone.
        AuditFailed: It cannot be put on record that the vendor is asked; it was not asked.
        StoreUnavailable: Its input cannot be read, or the same.
    """
    attempt = task.attempts[-1] if task.attempts else None
    if attempt is None or attempt.ended is not None or attempt.operation is None:
        return False
    task_input = input_for(await tasks.get_input(task.id), _choice_of(task, attempt))
    try:
        route = registry.route_of(task, attempt)
        if not isinstance(route.service, Cancels):
            return False
        job = job_of(task, route.model, task_input, attempt=attempt.number)
        call = await calls.begin_cancel(task)
        await call.made(partial(cancel_asked, route.service, job, attempt.operation, within_s=LONGEST_ASK_S))
    except (InvalidRequest, InputNotTaken, ProviderError) as error:
        log.info("vendor_cancel_failed", task_id=task.id, operation=attempt.operation, reason=str(error))
        return False
    return True


def _choice_of(task: Task, attempt: Attempt) -> Choice:
    """The choice that an attempt was made for."""
    name = (attempt.provider, attempt.model)
    return next((choice for choice in task.choices if (choice.provider, choice.model) == name), task.choices[0])
