"""What is answered where a task was created or changed: the shapes of the JSON, and how they are made."""

from datetime import datetime

from msgspec import Struct

from core.task_states import Status
from core.tasks import Task
from polyrelay import TaskType
from services.tasks.billing import may_be_billed
from services.tasks.cancel import Cancelled, CancelOutcome
from services.tasks.delete import DeletedTask


class CreatedTask(Struct, frozen=True, kw_only=True):
    """A task that was accepted."""

    task_id: str
    type: TaskType
    status: Status
    provider: str
    model: str


class CancelledTask(Struct, frozen=True, kw_only=True):
    """
    What became of a request to cancel.

    `cancelled` where the task has ended; `requested` where a worker ends it. `may_be_billed` says whether the vendor
    may bill what it was given.
    """

    task_id: str
    status: Status
    cancel: CancelOutcome
    may_be_billed: bool


class RetriedTask(Struct, frozen=True, kw_only=True):
    """A failed task that waits for a worker again. `may_be_billed` is about its attempts before."""

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
    A task that was removed; `status` is what it had before, `cancelled` says if it was still open.

    `vendor_stopped` says whether the vendor confirmed to have stopped, `may_be_billed` whether it may bill something.
    """

    task_id: str
    status: Status
    cancelled: bool
    vendor_stopped: bool
    may_be_billed: bool


def created_task(task: Task) -> CreatedTask:
    """What the caller of a create gets, also when it asks again later."""
    return CreatedTask(task_id=task.id, type=task.type, status=Status.PENDING, provider=task.provider, model=task.model)


def cancelled_task(cancelled: Cancelled) -> CancelledTask:
    """What the caller of a cancel gets."""
    task = cancelled.task
    return CancelledTask(
        task_id=task.id, status=task.status, cancel=cancelled.outcome, may_be_billed=may_be_billed(task)
    )


def retried_task(task: Task) -> RetriedTask:
    """What the caller of a retry gets."""
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


def removed_task(removed: DeletedTask) -> RemovedTask:
    """What the caller of a delete gets."""
    task = removed.task
    return RemovedTask(
        task_id=task.id,
        status=task.status,
        cancelled=not task.state.final,
        vendor_stopped=removed.vendor_stopped,
        may_be_billed=may_be_billed(task),
    )


def cancel_message(cancelled: CancelledTask) -> str:
    """What that means, in a sentence or two."""
    if cancelled.cancel is CancelOutcome.REQUESTED:
        return "Cancel requested; the vendor may still finish and bill it."
    if cancelled.may_be_billed:
        return "The task was cancelled. The vendor may bill what it was given before."
    return "The task was cancelled. The vendor was not given anything that it may bill."


def retry_message(retried: RetriedTask) -> str:
    """What that means, in a sentence or two."""
    if retried.may_be_billed:
        return "The task waits for a worker again. The vendor may have been paid for an earlier attempt already."
    return "The task waits for a worker again."
