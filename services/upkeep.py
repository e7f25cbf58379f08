"""What a worker does beside its steps: keep its leases, and look for tasks whose wake was lost."""

from datetime import timedelta
from typing import Final

import structlog

from core.errors import QueueUnavailable, StoreUnavailable
from core.ports import Clock, TaskRepository, WakeQueue
from services.leases import Leases

_PAGE: Final = 200

log = structlog.get_logger("polyrelay.upkeep")


class Upkeep:
    """
    Periodic work of one worker.

    Args:
        leases: Those of this worker.
        lease_s: How long a lease lasts, in seconds.
        patience_s: How long after its time a wake counts as lost, in seconds.
    """

    def __init__(
        self,
        *,
        tasks: TaskRepository,
        queue: WakeQueue,
        clock: Clock,
        leases: Leases,
        lease_s: float,
        patience_s: float,
    ) -> None:
        self._tasks = tasks
        self._queue = queue
        self._clock = clock
        self._leases = leases
        self._lease = timedelta(seconds=lease_s)
        self._patience = timedelta(seconds=patience_s)

    async def renew(self) -> None:
        """Prolong the leases of what runs in this worker, and no other: work that broke off must be taken up again."""
        try:
            for owner in self._leases.owners:
                await self._tasks.renew(owner=owner, until=self._clock() + self._lease)
        except StoreUnavailable as error:
            log.warning("leases_not_renewed", reason=str(error))

    async def reconcile(self) -> int:
        """Wake every open task that nobody looked at when it was time; by the record, never by the queue."""
        found, after = 0, ""
        before = self._clock() - self._patience
        try:
            while page := await self._tasks.overdue(before=before, after=after, limit=_PAGE):
                for task_id in page:
                    await self._queue.wake(task_id, at=self._clock())
                found, after = found + len(page), page[-1]
        except (StoreUnavailable, QueueUnavailable) as error:
            log.warning("reconcile_cut_short", reason=str(error))
        if found:
            log.info("wakes_repaired", tasks=found)
        return found
