"""Brings the quotas back in line with the records: after a crash, a lost message, or the loss of all Redis data."""

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
    Compares who counts in quotas with who is on record.

    Who counts is dropped only where two looks in a row find nobody behind it: a new task counts before it is stored.

    Args:
        tasks: The record.
        quotas: Shared by all processes.
        clock: Now.
    """

    def __init__(self, tasks: TaskRepository, quotas: Quotas, clock: Clock) -> None:
        self._tasks = tasks
        self._quotas = quotas
        self._clock = clock
        self._suspects: frozenset[tuple[str, str]] = frozenset()

    async def reconcile(self) -> None:
        """Count open tasks that are not counted, and no longer those that are not on record as open."""
        try:
            counted = {(name, task_id) for name, ids in (await self._quotas.counted()).items() for task_id in ids}
            on_record = {
                (name, task.id): task async for task in self._open() for name in quotas_of(task.quotas, task.state)
            }
            missing = on_record.keys() - counted
            await self._quotas.restore(
                [self._counted(name, on_record[name, task_id]) for name, task_id in sorted(missing)]
            )
            leftovers = counted - on_record.keys()
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
