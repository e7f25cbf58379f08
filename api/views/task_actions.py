"""Response bodies of requests that create or change tasks."""

from datetime import datetime

from msgspec import Struct

from core.task_states import Status
from core.tasks import Task
from polyrelay import TaskType
from services.tasks.billing import may_be_billed
from services.tasks.cancel import Cancelled, CancelOutcome
from services.tasks.delete import DeletedTask


class CreatedTask(Struct, frozen=True, kw_only=True):
    """A created task."""

    task_id: str
    type: TaskType
    status: Status
    provider: str
    model: str


class CancelledTask(Struct, frozen=True, kw_only=True):
    """
    The outcome of a request to cancel.

    `cancelled`: the task has ended; `requested`: a worker ends it. `may_be_billed` says whether the vendor may bill
    what was submitted.
    """

    task_id: str
    status: Status
    cancel: CancelOutcome
    may_be_billed: bool


class RetriedTask(Struct, frozen=True, kw_only=True):
    """A failed task that is pending again. `may_be_billed` is about its earlier attempts."""

    task_id: str
    type: TaskType
    status: Status
    provider: str
    model: str
    deadline: datetime
    attempts: int
    may_be_billed: bool


class RemovedTask(Struct, frozen=True, kw_only=True):
    """
    A deleted task; `status` is the one it had before, `cancelled` says whether it was still open.

    `vendor_stopped` says whether the vendor confirmed that it stopped, `may_be_billed` whether it may bill something.
    """

    task_id: str
    status: Status
    cancelled: bool
    vendor_stopped: bool
    may_be_billed: bool


def created_task(task: Task) -> CreatedTask:
    """The body of a create's response, also if the request is repeated later."""
    return CreatedTask(task_id=task.id, type=task.type, status=Status.PENDING, provider=task.provider, model=task.model)


def cancelled_task(cancelled: Cancelled) -> CancelledTask:
    """The body of a cancel's response."""
    task = cancelled.task
    return CancelledTask(
        task_id=task.id, status=task.status, cancel=cancelled.outcome, may_be_billed=may_be_billed(task)
    )


def retried_task(task: Task) -> RetriedTask:
    """The body of a retry's response."""
    return RetriedTask(
        task_id=task.id,
        type=task.type,
        status=task.status,
        provider=task.provider,
        model=task.model,
        deadline=task.deadline,
        attempts=len(task.attempts),
        may_be_billed=may_be_billed(task),
    )


def deleted_task(deleted: DeletedTask) -> RemovedTask:
    """The body of a delete's response."""
    task = deleted.task
    return RemovedTask(
        task_id=task.id,
        status=task.status,
        cancelled=not task.state.final,
        vendor_stopped=deleted.vendor_stopped,
        may_be_billed=may_be_billed(task),
    )


def cancel_message(cancelled: CancelledTask) -> str:
    """The response's message."""
    if cancelled.cancel is CancelOutcome.REQUESTED:
        return "Cancel requested; the vendor may still finish and bill it."
    if cancelled.may_be_billed:
        return "The task was cancelled. The vendor may bill what was submitted before."
    return "The task was cancelled. Nothing was submitted that the vendor may bill."


def retry_message(retried: RetriedTask) -> str:
    """The response's message."""
    if retried.may_be_billed:
        return "The task is pending again. The vendor may have billed an earlier attempt already."
    return "The task is pending again."
