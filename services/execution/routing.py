"""Whom to submit a task to: the first of its choices that is served here, up, and has room."""

from datetime import datetime

import structlog
from msgspec import Struct

from core.clock import Clock
from core.errors import InvalidRequest
from core.gates import Refusal
from core.registry import Registry, Route
from core.task_repository import TaskRepository
from core.tasks import Task, TaskInput, input_for
from polyrelay import Job, Params
from services.execution.plugin_calls import InputNotTaken, job_of
from services.limits.admission import Admissions, Door

log = structlog.get_logger(__name__)


class Chosen(Struct, frozen=True, kw_only=True):
    """A choice that lets the task in now; its gates are held. `choice` counts as in `Task.choices`."""

    choice: int
    route: Route
    job: Job[Params]
    door: Door


class InWaitQueue(Struct, frozen=True, kw_only=True):
    """The task stands in a gate's line, and is woken when it is its turn."""

    gate: str | None


class NotNow(Struct, frozen=True, kw_only=True):
    """The task has its turn at that moment: submits follow each other no faster."""

    again_at: datetime


class Away(Struct, frozen=True, kw_only=True):
    """The vendors that could serve it are away or switched off; the first of them is asked again at that moment."""

    again_at: datetime


class NotHere(Struct, frozen=True, kw_only=True):
    """This worker serves none of the choices; another may."""

    reason: str


class Chooser:
    """
    Goes through a task's choices in order.

    Args:
        tasks: For the input.
        registry: Where models are served.
        admissions: Lets tasks through.
        clock: Now.
    """

    def __init__(self, tasks: TaskRepository, registry: Registry, admissions: Admissions, clock: Clock) -> None:
        self._tasks = tasks
        self._registry = registry
        self._admissions = admissions
        self._clock = clock

    async def choose(
        self, task: Task, task_input: TaskInput | None = None
    ) -> Chosen | InWaitQueue | NotNow | Away | NotHere:
        """
        The first choice, from `task.choice` on, that takes the task now.

        A choice is passed over where it is not served here, was switched off, or its circuit is open. A full gate is
        waited for, in its line, since the vendor is up and it is the task's turn soon.

        Args:
            task: Which.
            task_input: Its input, where that was read with it.

        Raises:
            QueueUnavailable: The gates cannot be asked.
            StoreUnavailable: The input cannot be read.
        """
        reasons: list[str] = []
        earliest: datetime | None = None
        for choice in range(task.choice, len(task.choices)):
            try:
                route = self._route(task, choice)
            except (InvalidRequest, NotServed) as error:
                reasons.append(str(error))
                continue
            door = self._admissions.door(task, route)
            if route.switch is not None and route.switch.refuses_submit_of(task.retried or task.created):
                await door.leave()  # it may stand in the line of a provider that takes nothing now
                earliest = _earlier(earliest, route.switch.again_at(self._clock()))
                continue
            admission = await door.enter()
            match admission.refusal:
                case None:
                    try:
                        job = await self._job(task, task_input, choice, route)
                    except InputNotTaken as error:
                        reasons.append(str(error))
                        await door.leave()
                    else:
                        return Chosen(choice=choice, route=route, job=job, door=door)
                case Refusal.FULL:
                    return InWaitQueue(gate=admission.gate)
                case Refusal.SUBMIT_INTERVAL:
                    return NotNow(again_at=admission.again_at or task.updated)
                case Refusal.CIRCUIT_BREAKER_OPEN:
                    earliest = _earlier(earliest, admission.again_at)
        return Away(again_at=earliest) if earliest is not None else NotHere(reason="; ".join(reasons))

    def _route(self, task: Task, choice: int) -> Route:
        asked = task.choices[choice]
        route = self._registry.route_of(task, asked)
        if route.unavailable is not None:
            raise NotServed(f"{asked.provider} cannot serve {asked.model} here: {route.unavailable}")
        return route

    async def _job(self, task: Task, task_input: TaskInput | None, choice: int, route: Route) -> Job[Params]:
        """A large input is read only now: a task may stand in line for long."""
        if task_input is None:
            task_input = await self._tasks.get_input(task.id)
        wanted = input_for(task_input, task.choices[choice])
        return job_of(task, route.model, wanted, attempt=len(task.attempts) + 1)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(filter(None, (one, other)), default=None)


class NotServed(Exception):
    """The provider cannot work in this process."""
