"""Reconciler of a worker: renews the leases of its running steps, and wakes tasks whose wake was lost."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog

from core.clock import Clock
from core.errors import QueueUnavailable, StoreUnavailable
from core.gates import Gates
from core.task_repository import OverdueTask, TaskRepository
from core.wakes import Wake, WakeQueue
from services.execution.leases import Leases

_PAGE: Final = 500
"""Tasks in one page: between two pages the event loop runs its steps."""

log = structlog.get_logger(__name__)


class Reconciler:
    """
    Periodic jobs of one worker.

    Args:
        tasks: The stored tasks.
        queue: For the wakes.
        gates: Know which tasks are in a wait queue.
        clock: Now.
        leases: The leases of this worker.
        patience_s: How long after its moment a wake counts as lost, in seconds.
    """

    def __init__(
        self,
        *,
        tasks: TaskRepository,
        queue: WakeQueue,
        gates: Gates,
        clock: Clock,
        leases: Leases,
        patience_s: float,
    ) -> None:
        self._tasks = tasks
        self._queue = queue
        self._gates = gates
        self._clock = clock
        self._leases = leases
        self._lease = timedelta(seconds=leases.lease_s)
        self._patience = timedelta(seconds=patience_s)

    async def renew(self) -> None:
        """
        Renew the leases of the running steps of this worker, and no other.

        The lease of a step that broke off must expire, so that another worker continues its task.

        Called also if nothing is running: the call shows whether other workers could renew their leases.
        """
        began = self._clock()
        try:
            await self._tasks.renew(owners=self._leases.owners, until=began + self._lease)
        except StoreUnavailable as error:
            log.warning("lease_renewal_failed", reason=str(error))
            self._leases.distrust(until=self._clock() + self._lease)
        else:
            if self._clock() - began > self._lease / 6:
                self._leases.distrust(until=self._clock() + self._lease)

    async def reconcile(self) -> int:
        """
        Wake every open task whose `wake_at` has passed and whose wake is not in the queue; returns how many.

        The stored tasks decide, never the queue. A task that is polled without news is among them each time, and its
        wake is in the queue. A task in a gate's wait queue is left alone until its deadline: it is woken when a slot is
        free.
        """
        found, after = 0, ""
        before = self._clock() - self._patience
        try:
            while page := await self._tasks.overdue(before=before, after=after, limit=_PAGE):
                lost = await self._lost(page)
                await self._queue.requeue(lost)
                found, after = found + len(lost), page[-1].id
        except (StoreUnavailable, QueueUnavailable) as error:
            log.warning("reconcile_interrupted", reason=str(error))
        if found:
            log.info("wakes_repaired", tasks=found)
        return found

    async def _lost(self, page: Sequence[OverdueTask]) -> Sequence[Wake]:
        lost = await self._queue.lost([_wake_of(task) for task in page])
        if not lost:
            return []
        in_wait_queue = await self._gates.in_wait_queue([wake.task_id for wake in lost])
        now, deadlines = self._clock(), {task.id: task.deadline for task in page}
        return [
            wake for wake, waits in zip(lost, in_wait_queue, strict=True) if not waits or deadlines[wake.task_id] <= now
        ]


def _wake_of(task: OverdueTask) -> Wake:
    """The lost wake, for its own moment: if it is late and not lost, the queue adds nothing."""
    return Wake(task_id=task.id, at=task.wake_at, priority=task.priority)
