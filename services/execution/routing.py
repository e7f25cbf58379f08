"""Routing: chooses the first of a task's choices that is served here, whose vendor is available and has a free slot."""

from datetime import datetime
from typing import TypeAlias

import structlog
from msgspec import Struct

from core.clock import Clock
from core.errors import InvalidRequest
from core.gates import Refusal
from core.registry import Registry, Route
from core.task_repository import TaskRepository
from core.tasks import Task, TaskInput, input_for
from polyrelay import Job, Params
from services.execution.plugin_calls import InputMismatch, job_of
from services.limits.admission import Admissions, TaskGates

log = structlog.get_logger(__name__)


class RouteChosen(Struct, frozen=True, kw_only=True):
    """
    The task may be submitted now; its gates are held.

    Attributes:
        choice: Counts as in `Task.choices`.
        route: What the choice leads to.
        job: The attempt as the service sees it.
        gates: The gates that are held.
    """

    choice: int
    route: Route
    job: Job[Params]
    gates: TaskGates


class InWaitQueue(Struct, frozen=True, kw_only=True):
    """The task is in the wait queue of a full gate; it is woken when a slot is free."""

    gate: str | None


class SubmitLater(Struct, frozen=True, kw_only=True):
    """The submit interval of the vendor has not passed; the task may be submitted at `again_at`."""

    again_at: datetime


class VendorUnavailable(Struct, frozen=True, kw_only=True):
    """
    The circuit breakers of the choices are open, or an operator switched the providers off.

    Attributes:
        again_at: When the first of them may take a submit again.
    """

    again_at: datetime


class NotServableHere(Struct, frozen=True, kw_only=True):
    """This worker serves none of the choices; another worker may."""

    reason: str


Routing: TypeAlias = RouteChosen | InWaitQueue | SubmitLater | VendorUnavailable | NotServableHere


class Router:
    """
    Finds where a task is submitted or polled.

    Args:
        tasks: For the input.
        registry: Which models this process serves.
        admissions: The gates of tasks.
        clock: Now.
    """

    def __init__(self, tasks: TaskRepository, registry: Registry, admissions: Admissions, clock: Clock) -> None:
        self._tasks = tasks
        self._registry = registry
        self._admissions = admissions
        self._clock = clock

    def route_of_attempt(self, task: Task) -> Route | None:
        """The route of the latest attempt, or None if this process does not serve it; that is logged."""
        try:
            route = self._registry.route_of(task, task.attempt)
        except InvalidRequest as error:
            log.warning("task_not_servable_here", reason=str(error))
            return None
        if route.unavailable is not None:
            log.warning("task_not_servable_here", reason=route.unavailable)
            return None
        return route

    async def route(self, task: Task, task_input: TaskInput | None = None) -> Routing:
        """
        Choose the first choice, from `task.choice` on, that accepts a submit now, and hold its gates.

        A choice is passed over if this process does not serve it, an operator switched it off, or its circuit breaker
        is open. If a gate is full, the task waits in its queue: the vendor is available, and a slot will be free soon.

        Args:
            task: A pending task.
            task_input: Its input, or None if it was not read with the task.

        Raises:
            QueueUnavailable: Redis is unavailable, so no gate can be entered.
            StoreUnavailable: The input cannot be read.
        """
        reasons: list[str] = []
        moments: list[datetime] = []
        for choice in range(task.choice, len(task.choices)):
            match await self._route_choice(task, task_input, choice):
                case VendorUnavailable(again_at=again_at):
                    moments.append(again_at)
                case NotServableHere(reason=reason):
                    reasons.append(reason)
                case routing:
                    return routing
        return VendorUnavailable(again_at=min(moments)) if moments else NotServableHere(reason="; ".join(reasons))

    async def _route_choice(self, task: Task, task_input: TaskInput | None, choice: int) -> Routing:
        chosen = task.choices[choice]
        try:
            route = self._registry.route_of(task, chosen)
        except InvalidRequest as error:
            return NotServableHere(reason=str(error))
        if route.unavailable is not None:
            return NotServableHere(reason=f"{chosen.provider} cannot serve {chosen.model} here: {route.unavailable}")
        gates = self._admissions.gates_of(task, route)
        if route.switch is not None and route.switch.refuses_submit_of(task.retried or task.created):
            await gates.leave()  # the task may be in the wait queue of a provider that was switched off since
            return VendorUnavailable(again_at=route.switch.again_at(self._clock()))
        admission = await gates.enter()
        match admission.refusal:
            case Refusal.FULL:
                return InWaitQueue(gate=admission.gate)
            case Refusal.SUBMIT_INTERVAL:
                return SubmitLater(again_at=admission.again_at or task.updated)
            case Refusal.CIRCUIT_BREAKER_OPEN:
                return VendorUnavailable(again_at=admission.again_at or task.updated)
        try:
            job = await self._job(task, task_input, choice, route)
        except InputMismatch as error:
            await gates.leave()
            return NotServableHere(reason=str(error))
        return RouteChosen(choice=choice, route=route, job=job, gates=gates)

    async def _job(self, task: Task, task_input: TaskInput | None, choice: int, route: Route) -> Job[Params]:
        """A large input is read only now, because a task may have waited in a queue before."""
        if task_input is None:
            task_input = await self._tasks.get_input(task.id)
        wanted = input_for(task_input, task.choices[choice])
        return job_of(task, route.model, wanted, attempt=len(task.attempts) + 1)
