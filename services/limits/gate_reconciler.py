"""Gate reconciler: corrects the gates by the stored tasks, after a crash, a lost call or the loss of all Redis data."""

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
    Compares the tasks that hold gates with the tasks that are stored as submitted.

    A hold is ended only if two runs in a row find no submitted task for it: a task enters its gates a moment before its
    attempt is stored.

    Args:
        tasks: The stored tasks.
        gates: Shared by all workers.
        admissions: Knows which gates a task needs.
        waker: Wakes the tasks that may enter.
        registry: Which models this process serves.
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
        """End holds of tasks that are not submitted, restore missing holds, and wake tasks that may enter."""
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
        """What the task holds; None if this process does not know its model."""
        try:
            route = self._registry.route_of(task, task.attempt)
        except InvalidRequest:
            return None
        return self._admissions.ticket(task, route)
