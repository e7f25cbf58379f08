"""Lets a task through to its vendor: gates, spacing and circuit, and who is woken when there is room."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import structlog
from msgspec import Struct

from core.clock import Clock
from core.errors import QueueUnavailable, StoreUnavailable, TaskNotFound
from core.gates import Admission, Gate, Gates, Ticket, Verdict
from core.priorities import Priority
from core.registry import Route
from core.task_repository import TaskRepository
from core.tasks import Task
from core.wakes import WakeQueue
from polyrelay import OutcomeUnknown, Overloaded, ProviderError, RateLimited, Unavailable

_GRACE: Final = timedelta(minutes=2)
"""A hold that nobody ended is dropped that long after the task's deadline."""

log = structlog.get_logger(__name__)


class Limits(Struct, frozen=True, kw_only=True):
    """
    What an operator bounds.

    Attributes:
        providers: Open submissions by provider; "*" for those that are not named.
        models: Open submissions by model name, "*" for those that are not named; over what the catalogue says.
        per_user: Open submissions of one user, or None.
        spacing_s: Least time between two submits to one provider, in seconds.
    """

    providers: Mapping[str, int] = {}
    models: Mapping[str, int] = {}
    per_user: int | None = None
    submit_interval_s: float = 0.0


class Turns:
    """
    Wakes tasks whose turn it is, in the queue of their priority.

    Args:
        tasks: Tells the priority.
        queue: For the wake.
        clock: Now.
    """

    def __init__(self, tasks: TaskRepository, queue: WakeQueue, clock: Clock) -> None:
        self._tasks = tasks
        self._queue = queue
        self._clock = clock

    async def wake(self, task_ids: Sequence[str]) -> None:
        """
        Wake these tasks now. One that was removed is woken as well: the step that finds it gone clears its place.

        A wake that is lost is made up for by upkeep.
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


class Door:
    """
    One task's way to one vendor.

    Args:
        gates: Shared by all workers.
        turns: Wakes those who are let in next.
        ticket: What the task needs.
    """

    def __init__(self, gates: Gates, turns: Turns, ticket: Ticket) -> None:
        self._gates = gates
        self._turns = turns
        self._ticket = ticket

    async def enter(self) -> Admission:
        """
        Hold the gates, or stand in line.

        Raises:
            QueueUnavailable: The gates cannot be asked; nothing may be submitted.
        """
        admission = await self._gates.enter(self._ticket)
        await self._turns.wake(admission.wakes)
        return admission

    async def report(self, error: ProviderError | None = None) -> None:
        """Tell what a submit or a poll showed about the vendor. Lost where Redis is away: only a hint."""
        try:
            await self._turns.wake(await self._gates.report(self._ticket, verdict_of(error)))
        except QueueUnavailable as unavailable:
            log.warning("vendor_status_report_failed", reason=str(unavailable))

    async def leave(self, verdict: Verdict | None = None) -> None:
        """
        Give up the hold or the place in line, and wake who is next. Made up for by upkeep where Redis is away.

        With a verdict, `report` what an answer showed, in the same round trip.
        """
        try:
            await self._turns.wake(await self._gates.leave(self._ticket, verdict))
        except QueueUnavailable as unavailable:
            log.warning("gate_release_failed", reason=str(unavailable))


class Places:
    """Holds of gates and places in lines, given up by the task's id alone: slower than `Door.leave`."""

    def __init__(self, gates: Gates, turns: Turns) -> None:
        self._gates = gates
        self._turns = turns

    async def leave(self, task_id: str) -> None:
        """Give up all that the task has, and wake who is next. Made up for by upkeep where Redis is away."""
        try:
            await self._turns.wake(await self._gates.forget(task_id))
        except QueueUnavailable as error:
            log.warning("gate_release_failed", task_id=task_id, reason=str(error))


class Admissions:
    """Makes the doors of tasks, from the operator's limits and the catalogue's."""

    def __init__(self, gates: Gates, turns: Turns, limits: Limits) -> None:
        self._gates = gates
        self._turns = turns
        self._limits = limits

    def door(self, task: Task, route: Route) -> Door:
        """The way of a task to what `route` names."""
        return Door(self._gates, self._turns, self.ticket(task, route))

    def ticket(self, task: Task, route: Route) -> Ticket:
        """What a task needs to be submitted to what `route` names."""
        return Ticket(
            task_id=task.id,
            account=route.provider.name,
            gates=tuple(self._gates_of(task, route)),
            priority=task.priority,
            since=task.created,
            submit_interval_s=self._limits.submit_interval_s,
            held_until=task.deadline + _GRACE,
        )

    def _gates_of(self, task: Task, route: Route) -> Iterable[Gate]:
        """The model's gate comes first: a task that waits for its model stands in no other's way."""
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


def verdict_of(error: ProviderError | None) -> Verdict:
    """What an answer, or its absence, shows about the vendor."""
    match error:
        case None:
            return Verdict.WELL
        case RateLimited() | Overloaded():
            return Verdict.THROTTLED
        case Unavailable() | OutcomeUnknown():
            return Verdict.UNAVAILABLE
        case _:
            return Verdict.NOTHING
