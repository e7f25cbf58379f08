"""Use case: cancel a task. If nothing was submitted yet, nothing ever is."""

from enum import StrEnum
from typing import Final

import structlog
from msgspec import Struct

from core import transitions
from core.attempts import Failure
from core.clock import Clock
from core.errors import NotPossible, QueueUnavailable
from core.gates import Gates
from core.optimistic import until_first
from core.quotas import Quotas
from core.task_repository import TaskRepository
from core.task_states import State
from core.tasks import Task
from core.wakes import WakeQueue
from services.limits.admission import TaskWaker, leave_gates
from services.limits.task_quotas import release_quotas

AT_THE_VENDOR: Final = frozenset({State.SUBMITTING, State.WAITING})
NEVER_SENT: Final = Failure(code="cancelled", message="the task was cancelled before it was submitted")
NOT_SENT_AGAIN: Final = Failure(code="cancelled", message="the task was cancelled between two attempts")

log = structlog.get_logger(__name__)


class CancelOutcome(StrEnum):
    """The outcome of a request to cancel."""

    CANCELLED = "cancelled"
    """The task has ended, and no operation of it is open."""
    REQUESTED = "requested"
    """A worker ends it, and asks the vendor to stop where that is possible. The vendor may still finish and bill it."""


class Cancelled(Struct, frozen=True, kw_only=True):
    """The outcome, and the task as it is now."""

    task: Task
    outcome: CancelOutcome


class CancelTask:
    """
    Cancels tasks.

    Args:
        tasks: The stored tasks.
        queue: Wakes a worker, which asks the vendor to stop.
        gates: The gates in whose wait queues the task may be.
        quotas: The quotas in which it counts.
        clock: Time.
    """

    def __init__(self, *, tasks: TaskRepository, queue: WakeQueue, gates: Gates, quotas: Quotas, clock: Clock) -> None:
        self._tasks = tasks
        self._queue = queue
        self._gates = gates
        self._waker = TaskWaker(tasks, queue, clock)
        self._quotas = quotas
        self._clock = clock

    async def __call__(self, task_id: str) -> Cancelled:
        """
        End the task if no operation of it is open, otherwise request that a worker ends it. It may be repeated.

        Raises:
            TaskNotFound: No task has that id.
            NotPossible: It has completed or failed, or its result is being stored.
            Stale: Concurrent writes to it kept winning; try again.
            StoreUnavailable: It is not known whether the request was stored; try again.
        """
        return await until_first(lambda: self._cancel(task_id))

    async def _cancel(self, task_id: str) -> Cancelled:
        task = await self._tasks.get(task_id)
        if task.state in AT_THE_VENDOR:
            task = await self._tasks.request_cancel(task_id, at=self._clock())
        if task.state in AT_THE_VENDOR:
            await self._notify_worker(task)
            return Cancelled(task=task, outcome=CancelOutcome.REQUESTED)
        if task.state is State.PENDING:
            task = await self._end(task)
        if task.state is State.CANCELLED:
            return Cancelled(task=task, outcome=CancelOutcome.CANCELLED)
        raise NotPossible(_too_late(task))

    async def _end(self, task: Task) -> Task:
        ended = transitions.cancelled(task, NOT_SENT_AGAIN if task.attempts else NEVER_SENT, now=self._clock())
        await self._tasks.save(ended)
        await leave_gates(self._gates, self._waker, task.id)
        await release_quotas(self._quotas, ended)
        return ended

    async def _notify_worker(self, task: Task) -> None:
        """Wake a worker for the time of the first cancellation request; a repetition only replaces a lost wake."""
        try:
            await self._queue.wake(task.id, at=task.cancel_requested or self._clock(), priority=task.priority)
        except QueueUnavailable as error:
            log.warning("wake_failed", task_id=task.id, reason=str(error))


def _too_late(task: Task) -> str:
    if task.state is State.STORING:
        return f"too late to cancel task {task.id}: the provider has finished and the result is being stored"
    return f"task {task.id} is {task.status} already; only an open task can be cancelled"
