"""Brings the gates back in line with the records: after a crash, a lost message, or the loss of all Redis data."""

from collections.abc import AsyncIterator

import structlog

from core.errors import InvalidRequest, QueueUnavailable, StoreUnavailable
from core.gates import Gates, Ticket
from core.registry import Registry
from core.task_repository import TaskRepository
from core.tasks import Task
from services.limits.admission import Admissions, TaskWaker

log = structlog.get_logger(__name__)


class GateReconciler:
    """
    Compares who holds gates with who is on record as submitted.

    A hold is dropped only where two looks in a row find nobody behind it: between entering a gate and the record of the
    attempt there is a moment in which a live hold looks like a leftover.

    Args:
        tasks: The record.
        gates: Shared by all workers.
        admissions: Knows which gates a task needs.
        waker: Wakes those who may enter.
        registry: Where models are served.
    """

    def __init__(
        self, *, tasks: TaskRepository, gates: Gates, admissions: Admissions, waker: TaskWaker, registry: Registry
    ) -> None:
        self._tasks = tasks
        self._gates = gates
        self._admissions = admissions
        self._waker = waker
        self._registry = registry
        self._suspects: frozenset[str] = frozenset()

    async def reconcile(self) -> None:
        """End holds of tasks that are not submitted, restore missing ones, and wake heads of lines that sleep."""
        try:
            holders = frozenset(await self._gates.holders())
            submitted = {task.id: task async for task in self._submitted()}
            missing = [task for task_id, task in submitted.items() if task_id not in holders]
            await self._gates.restore([ticket for task in missing if (ticket := self._ticket(task))])
            leftovers = holders - submitted.keys()
            for task_id in leftovers & self._suspects:
                await self._waker.wake(await self._gates.forget(task_id))
            dropped, self._suspects = leftovers & self._suspects, leftovers
            await self._waker.wake(await self._gates.next_waiting())
        except (StoreUnavailable, QueueUnavailable) as error:
            log.warning("reconcile_interrupted", reason=str(error))
            return
        if missing or dropped:
            log.info("gates_reconciled", restored=len(missing), dropped=len(dropped))

    async def _submitted(self) -> AsyncIterator[Task]:
        after = ""
        while page := await self._tasks.submitted(after=after):
            for task in page:
                yield task
            after = page[-1].id

    def _ticket(self, task: Task) -> Ticket | None:
        """What the task holds; None where this worker does not know its model."""
        try:
            route = self._registry.route_of(task, task.attempt)
        except InvalidRequest:
            return None
        return self._admissions.ticket(task, route)
