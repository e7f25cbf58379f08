"""Use case: delete a task with its files. An open task is ended first, so that no worker continues it."""

from msgspec import Struct

from core.attempts import Failure
from core.clock import Clock
from core.gates import Gates
from core.optimistic import until_first
from core.quotas import Quotas
from core.registry import Registry
from core.result_store import ResultStore
from core.task_repository import TaskRepository
from core.task_states import State
from core.tasks import Task
from core.used_signatures import UsedSignatures
from core.wakes import WakeQueue
from services.access.request_signatures import SPENT_FOR
from services.execution.vendor_audit import VendorCalls
from services.execution.vendor_cancel import vendor_stopped
from services.limits.admission import TaskWaker, leave_gates
from services.limits.task_quotas import release_quotas


class DeletedTask(Struct, frozen=True, kw_only=True):
    """
    A deleted task.

    Attributes:
        task: As it was before.
        vendor_stopped: Whether the vendor confirmed that it stopped the open operation.
    """

    task: Task
    vendor_stopped: bool


class DeleteTask:
    """
    Deletes tasks.

    Args:
        tasks: The stored tasks.
        results: Their files.
        registry: The providers whose vendors are asked to stop.
        queue: Wakes the tasks that were queued behind the task.
        gates: The gates where the task may hold or await a slot.
        quotas: The quotas in which it counts.
        calls: Writes calls to vendors to the audit log.
        used_signatures: Keeps the signatures of deleted tasks.
        clock: Time.
    """

    def __init__(
        self,
        *,
        tasks: TaskRepository,
        results: ResultStore,
        registry: Registry,
        queue: WakeQueue,
        gates: Gates,
        quotas: Quotas,
        calls: VendorCalls,
        used_signatures: UsedSignatures,
        clock: Clock,
    ) -> None:
        self._tasks = tasks
        self._results = results
        self._registry = registry
        self._gates = gates
        self._waker = TaskWaker(tasks, queue, clock)
        self._quotas = quotas
        self._calls = calls
        self._used_signatures = used_signatures
        self._clock = clock

    async def __call__(self, task_id: str) -> DeletedTask:
        """
        End the task if it is open, ask its vendor to stop, then delete its files and its document.

        Its end is stored first: then no worker can write to it, or submit it again because the vendor stopped. Files
        are deleted before the document: if that fails, the document stays and the call can be repeated.

        Raises:
            TaskNotFound: No task has that id (any more).
            Stale: Concurrent writes to it kept winning; try again.
            AuditFailed: The audit row of the request to the vendor cannot be written; try again.
            StoreUnavailable: The database or the result store is unavailable.
        """
        return await until_first(lambda: self._delete(task_id))

    async def _delete(self, task_id: str) -> DeletedTask:
        found = await self._tasks.get(task_id)
        ended = await self._end(found)
        stopped = ended.state is State.CANCELLED and await vendor_stopped(
            ended, self._tasks, self._registry, self._calls
        )
        await leave_gates(self._gates, self._waker, task_id)
        await release_quotas(self._quotas, ended)
        await self._results.delete_all(task_id)
        await self._keep_signature(ended)
        await self._tasks.delete(ended)
        return DeletedTask(task=found, vendor_stopped=stopped)

    async def _keep_signature(self, task: Task) -> None:
        """Without it, a recorded request could create the deleted task again."""
        until = task.created + SPENT_FOR
        if task.replay is not None and self._clock() < until:
            await self._used_signatures.spend(task.replay, until=until)

    async def _end(self, task: Task) -> Task:
        if task.state.final:
            return task
        ended = self._ended(task)
        await self._tasks.save(ended)
        return ended

    def _ended(self, task: Task) -> Task:
        """The attempt stays open until the vendor was asked to stop, so that a repeated call asks again."""
        if task.state is State.STORING:  # the vendor has finished, so there is nothing to cancel
            lost = Failure(code="result_lost", message="the task was deleted while its result was being stored")
            return task.to(State.FAILED, now=self._clock(), failure=lost)
        return task.to(State.CANCELLED, now=self._clock())
