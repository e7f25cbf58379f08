"""Saves what happened to a task by compare-and-set, and queues its next wake."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from core.errors import QueueUnavailable, Stale, StoreUnavailable, TaskNotFound
from core.quotas import Quotas
from core.task_repository import TaskRepository
from core.task_states import State
from core.tasks import Task
from core.wakes import WakeQueue
from services.execution.notifications import Notifications
from services.limits.task_quotas import release_quotas

T = TypeVar("T")

_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 2.0

log = structlog.get_logger(__name__)


class Recorder:
    """
    Saves the next version of a task and queues its wake.

    Args:
        tasks: The stored tasks.
        queue: For the next wake.
        quotas: The quotas in which open tasks count.
        on_change: Called with each saved version, for metrics.
        notifications: Notifies the relay request that may wait for a relayed task.
    """

    def __init__(
        self,
        tasks: TaskRepository,
        queue: WakeQueue,
        quotas: Quotas,
        *,
        on_change: Callable[[Task], None] | None = None,
        notifications: Notifications | None = None,
    ) -> None:
        self._tasks = tasks
        self._queue = queue
        self._quotas = quotas
        self._on_change = on_change
        self._notifications = notifications

    async def claim(self, task: Task) -> None:
        """
        Save a task under a lease, before any work is done under it; no other lease may have its owner.

        Raises:
            Stale: Another process changed the task first.
            StoreUnavailable: The task is not saved; no work may be done.
        """
        try:
            await self._tasks.save(task)
        except StoreUnavailable:
            # MongoDB may have done the write although its response was lost.
            if not await persistently(lambda: self._is_stored(task)):
                raise
        await self._saved(task)

    async def record(self, task: Task) -> None:
        """
        Save a task, retrying until MongoDB is available, then queue its next wake. The reconciler sends a lost wake.

        Raises:
            Stale: Another process changed the task first. The operation that was not saved is in the log.
        """
        tries = 0

        async def save() -> None:
            nonlocal tries
            tries += 1
            await self._tasks.save(task)

        try:
            await persistently(save)
        except Stale:
            # A write whose response was lost is refused when it is repeated. If the first write is refused, another
            # process wrote, even if the versions look the same: two workers that poll at once may get the same
            # response in the same millisecond.
            if tries == 1 or not await persistently(lambda: self._is_stored(task)):
                log.warning("write_conflict", state=task.state, operation=_operation(task))
                raise
        except asyncio.CancelledError:
            log.warning("save_interrupted", state=task.state, operation=_operation(task))
            raise
        _log_step(task)
        await self._saved(task)
        if task.wake_at is None or task.lease is not None:
            return
        try:
            await self._queue.wake(task.id, at=task.wake_at, priority=task.priority)
        except QueueUnavailable as error:
            log.warning("wake_failed", reason=str(error))

    def is_wake_of(self, task: Task, wake: str | None) -> bool:
        """Whether `wake` is the wake for the stored `wake_at`: the only wake of a task that may be put back."""
        return task.wake_at is not None and wake == self._queue.name_of(task.id, task.wake_at)

    async def is_deleted(self, task_id: str) -> bool:
        """Whether the task was deleted."""
        try:
            await persistently(lambda: self._tasks.get(task_id))
        except TaskNotFound:
            return True
        return False

    async def _saved(self, task: Task) -> None:
        """Report a saved version, and release the quotas in which it no longer counts."""
        if self._on_change is not None:
            self._on_change(task)
        if self._notifications is not None and task.relay is not None:
            self._notifications.changed(task)
        if task.quotas:
            await release_quotas(self._quotas, task)

    async def _is_stored(self, task: Task) -> bool:
        """Whether exactly this version is stored; its lease may have been renewed since."""
        try:
            stored = await self._tasks.get(task.id)
        except TaskNotFound:
            return False
        return _identity(stored) == _identity(task)


async def persistently(act: Callable[[], Awaitable[T]]) -> T:
    """Retry until the store accepts the write; a vendor's response must not be lost."""
    delay_s = _FIRST_DELAY_S
    while True:
        try:
            return await act()
        except StoreUnavailable as error:
            log.warning("store_unavailable", reason=str(error), again_after_s=delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, _LONGEST_DELAY_S)


def _identity(task: Task) -> tuple[object, ...]:
    owner = task.lease.owner if task.lease else None
    return task.version, task.state, task.updated, owner, task.attempts


def _operation(task: Task) -> str | None:
    return task.attempt.operation if task.attempts else None


def _log_step(task: Task) -> None:
    if task.state is State.FAILED and task.failure is not None:
        log.warning("task_failed", code=task.failure.code, reason=task.failure.message, attempts=len(task.attempts))
    elif task.state is State.COMPLETED:
        duration_s = (task.updated - task.created).total_seconds()
        log.info("task_completed", attempts=len(task.attempts), duration_s=round(duration_s, 3))
    else:
        log.debug("task_updated", state=task.state, wake_at=task.wake_at)
