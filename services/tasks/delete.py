"""Use case: remove a task with its files. An open one is ended first, so that no worker takes it up again."""

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
    A task that is gone.

    Attributes:
        task: As it stood before.
        vendor_stopped: Whether the vendor said that it stopped what was under way.
    """

    task: Task
    vendor_stopped: bool


class DeleteTask:
    """
    Removes tasks.

    Args:
        tasks: Where they are stored.
        results: Where their files are.
        registry: For asking vendors to stop.
        queue: Wakes those who wait in a line behind the task.
        gates: Where it may stand.
        quotas: Where it counts.
        calls: Puts calls to vendors on the audit log.
        replays: Keeps the signatures of tasks that are gone.
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
        End the task if it is open, ask its vendor to stop, then remove its files and its record.

        It is ended on record first: no worker can write to it then, or submit it again because the vendor stopped.
        Files go before the record: where they cannot be removed, the record stays and the call can be repeated.

        Raises:
            TaskNotFound: There is none of that id (any more).
            Stale: Others kept writing to it; try again.
            AuditFailed: It cannot be put on record that its vendor is asked to stop; try again.
            StoreUnavailable: The database or the result store cannot be reached.
        """
        return await until_first(lambda: self._remove(task_id))

    async def _remove(self, task_id: str) -> DeletedTask:
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
        """Else who recorded the request that created the task could have it created again."""
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
        """Its attempt stays open on record until the vendor was asked, so that a repeated call asks again."""
        if task.state is State.STORING:  # its generation is over, so there is nothing left to cancel
            lost = Failure(code="result_lost", message="the task was removed while its result was being stored")
            return task.to(State.FAILED, now=self._clock(), failure=lost)
        return task.to(State.CANCELLED, now=self._clock())
