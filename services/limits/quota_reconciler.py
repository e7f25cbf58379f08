"""Quota reconciler: corrects the quotas by the stored tasks, after a crash, a lost call or a loss of all Redis data."""

from collections.abc import AsyncIterator

import structlog

from core.clock import Clock
from core.errors import QueueUnavailable, StoreUnavailable
from core.quotas import Counted, Quotas, quotas_of
from core.task_repository import QuotaTask, TaskRepository
from services.limits.task_quotas import GRACE

log = structlog.get_logger(__name__)


class QuotaReconciler:
    """
    Compares the tasks that count in quotas with the stored tasks.

    A task is no longer counted only if two runs in a row do not find it stored: a new task counts before it is stored.

    Args:
        tasks: The stored tasks.
        quotas: Shared by all processes.
        clock: Now.
    """

    def __init__(self, tasks: TaskRepository, quotas: Quotas, clock: Clock) -> None:
        self._tasks = tasks
        self._quotas = quotas
        self._clock = clock
        self._suspects: frozenset[tuple[str, str]] = frozenset()

    async def reconcile(self) -> None:
        """Count stored open tasks that are not counted, and stop counting tasks that are not stored as open."""
        try:
            counted = {(name, task_id) for name, ids in (await self._quotas.counted()).items() for task_id in ids}
            stored = {
                (name, task.id): task async for task in self._open() for name in quotas_of(task.quotas, task.state)
            }
            missing = stored.keys() - counted
            await self._quotas.restore(
                [self._counted(name, stored[name, task_id]) for name, task_id in sorted(missing)]
            )
            leftovers = counted - stored.keys()
            dropped = leftovers & self._suspects
            for name, task_id in dropped:
                await self._quotas.give_back(task_id, [name])
            self._suspects = frozenset(leftovers - dropped)
        except (StoreUnavailable, QueueUnavailable) as error:
            log.warning("reconcile_interrupted", reason=str(error))
            return
        if missing or dropped:
            log.info("quotas_reconciled", restored=len(missing), dropped=len(dropped))

    async def _open(self) -> AsyncIterator[QuotaTask]:
        after = ""
        while page := await self._tasks.in_quotas(after=after):
            for task in page:
                yield task
            after = page[-1].id

    def _counted(self, name: str, task: QuotaTask) -> Counted:
        return Counted(quota=name, task_id=task.id, until=max(task.deadline, self._clock()) + GRACE)
