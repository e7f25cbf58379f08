"""Gate admission: which gates a task needs, entering and leaving them, and waking the tasks that may enter next."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import structlog
from msgspec import Struct

from core.clock import Clock
from core.errors import QueueUnavailable, StoreUnavailable, TaskNotFound
from core.gates import Admission, Gate, Gates, Ticket, VendorStatus
from core.priorities import Priority
from core.registry import Route
from core.task_repository import TaskRepository
from core.tasks import Task
from core.wakes import WakeQueue
from polyrelay import OutcomeUnknown, Overloaded, ProviderError, RateLimited, Unavailable

_GRACE: Final = timedelta(minutes=2)
"""A hold that was not ended expires this long after the task's deadline."""

log = structlog.get_logger(__name__)


class GateLimits(Struct, frozen=True, kw_only=True):
    """
    The limits that the operator set.

    Attributes:
        providers: Open submissions by provider; "*" for those that are not named.
        models: Open submissions by model name, "*" for those that are not named; they override the catalogue.
        per_user: Open submissions of one user, or None.
        submit_interval_s: Least time between two submits to one provider, in seconds.
    """

    providers: Mapping[str, int] = {}
    models: Mapping[str, int] = {}
    per_user: int | None = None
    submit_interval_s: float = 0.0


class TaskWaker:
    """
    Wakes tasks that may enter a gate, each in the queue of its priority.

    Args:
        tasks: For the priority of a task.
        queue: For the wakes.
        clock: Now.
    """

    def __init__(self, tasks: TaskRepository, queue: WakeQueue, clock: Clock) -> None:
        self._tasks = tasks
        self._queue = queue
        self._clock = clock

    async def wake(self, task_ids: Sequence[str]) -> None:
        """
        Wake these tasks now. A deleted one is woken as well: the step that does not find it leaves its gates.

        If MongoDB or Redis is unavailable, a wake is lost; the gate reconciler sends it later.
        """
        for task_id in task_ids:
            try:
                await self._queue.wake(task_id, at=self._clock(), priority=await self._priority(task_id))
            except (QueueUnavailable, StoreUnavailable) as error:
                log.warning("wake_failed", task_id=task_id, reason=str(error))

    async def _priority(self, task_id: str) -> Priority:
        try:
            return (await self._tasks.get(task_id)).priority
        except TaskNotFound:
            return Priority.DEFAULT


class TaskGates:
    """
    The gates that one task needs at one vendor.

    Args:
        gates: Shared by all workers.
        waker: Wakes the tasks that may enter next.
        ticket: What the task needs.
    """

    def __init__(self, gates: Gates, waker: TaskWaker, ticket: Ticket) -> None:
        self._gates = gates
        self._waker = waker
        self._ticket = ticket

    async def enter(self) -> Admission:
        """
        Hold all of the gates, or wait in the queue of a full one.

        Raises:
            QueueUnavailable: Redis is unavailable; nothing may be submitted.
        """
        admission = await self._gates.enter(self._ticket)
        await self._waker.wake(admission.wakes)
        return admission

    async def report(self, error: ProviderError | None = None) -> None:
        """Report what a submit or a poll showed about the vendor. Lost if Redis is unavailable: it is only a hint."""
        try:
            await self._waker.wake(await self._gates.report(self._ticket, vendor_status_of(error)))
        except QueueUnavailable as unavailable:
            log.warning("vendor_status_report_failed", reason=str(unavailable))

    async def leave(self, vendor_status: VendorStatus | None = None) -> None:
        """
        End the hold, or leave the wait queue, and wake the tasks that may enter next.

        With `vendor_status`, report it in the same round trip. If Redis is unavailable, the gate reconciler ends the
        hold later.
        """
        try:
            await self._waker.wake(await self._gates.leave(self._ticket, vendor_status))
        except QueueUnavailable as unavailable:
            log.warning("gate_release_failed", reason=str(unavailable))


class Admissions:
    """
    Finds the gates of tasks, from the operator's limits and the catalogue's.

    Args:
        gates: Shared by all workers.
        waker: Wakes the tasks that may enter next.
        limits: The operator's.
    """

    def __init__(self, gates: Gates, waker: TaskWaker, limits: GateLimits) -> None:
        self._gates = gates
        self._waker = waker
        self._limits = limits

    def gates_of(self, task: Task, route: Route) -> TaskGates:
        """The gates that a task needs to be submitted to `route`."""
        return TaskGates(self._gates, self._waker, self.ticket(task, route))

    async def leave(self, task_id: str) -> None:
        """As `leave_gates`."""
        await leave_gates(self._gates, self._waker, task_id)

    def ticket(self, task: Task, route: Route) -> Ticket:
        """What a task needs to be submitted to `route`."""
        return Ticket(
            task_id=task.id,
            account=route.provider.name,
            gates=tuple(self._needed(task, route)),
            priority=task.priority,
            since=task.created,
            submit_interval_s=self._limits.submit_interval_s,
            held_until=task.deadline + _GRACE,
        )

    def _needed(self, task: Task, route: Route) -> Iterable[Gate]:
        """The model's gate comes first: a task that waits for its model is in no other wait queue."""
        provider, model = route.provider.name, route.model.name
        limit = self._limits.models.get(model, self._limits.models.get("*", route.model.max_open))
        yield Gate(name=f"model:{provider}/{model}", limit=limit, learns=limit is None)
        of_provider = self._limits.providers.get(provider, self._limits.providers.get("*"))
        if of_provider is not None:
            yield Gate(name=f"provider:{provider}", limit=of_provider)
        if self._limits.per_user is not None:
            yield Gate(name=f"user:{task.user_id}", limit=self._limits.per_user)
        if task.owner is not None and task.key_max_concurrent is not None:
            yield Gate(name=f"key:{task.owner}", limit=task.key_max_concurrent)


async def leave_gates(gates: Gates, waker: TaskWaker, task_id: str) -> None:
    """
    End the hold of a task, or its place in a wait queue, and wake the tasks that may enter next.

    Needs the task's id alone, and is slower than `TaskGates.leave`. If Redis is unavailable, the gate reconciler ends
    the hold later.
    """
    try:
        await waker.wake(await gates.forget(task_id))
    except QueueUnavailable as error:
        log.warning("gate_release_failed", task_id=task_id, reason=str(error))


def vendor_status_of(error: ProviderError | None) -> VendorStatus:
    """What the vendor's response, or a missing one, shows about the vendor."""
    match error:
        case None:
            return VendorStatus.AVAILABLE
        case RateLimited() | Overloaded():
            return VendorStatus.THROTTLED
        case Unavailable() | OutcomeUnknown():
            return VendorStatus.UNAVAILABLE
        case _:
            return VendorStatus.UNKNOWN
