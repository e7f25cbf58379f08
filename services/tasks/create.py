"""Use case: take a new task. Stored durably first; only then a worker is woken."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, TypeAlias

import structlog
from msgspec import Struct

from core.audit import AuditRow
from core.callers import ANYBODY, Caller
from core.clock import Clock
from core.errors import FieldProblem, InvalidRequest, QueueUnavailable
from core.quotas import Quota
from core.random_ids import new_task_id
from core.registry import Registry, Route
from core.task_repository import TaskRepository
from core.tasks import Choice, Idempotency, RelayCall, Task, TaskInput
from core.validation import MOST_PROBLEMS, checked, field_names, unknown_fields
from core.wakes import WakeQueue
from polyrelay import TaskType
from services.limits.task_quotas import TaskQuotas
from services.tasks.create_fields import COMMON_FIELDS, CommonFields, own_fields, read_common, unstorable
from services.tasks.fallbacks import available, input_of, read_fallbacks, route_of

LONGEST_PROMPT_SHOWN: Final = 500

log = structlog.get_logger(__name__)

RowOf: TypeAlias = Callable[[Task], AuditRow]
"""Makes the row that says who created a task."""


class TaskOrder(Struct, frozen=True, kw_only=True):
    """
    A caller's body that was found good.

    Attributes:
        common: What every task has.
        task_input: The params of the first choice.
        fallbacks: The other choices.
        longest_s: The longest time limit of the models named, in seconds.
        prompt: What lists show.
        relay: The call of a vendor's own API that this came by, if it did.
    """

    common: CommonFields
    task_input: TaskInput
    fallbacks: tuple[Choice, ...]
    longest_s: float
    prompt: str | None = None
    relay: RelayCall | None = None


class CreateTask:
    """
    Takes new tasks.

    Args:
        tasks: Where they are stored.
        queue: Tells a worker.
        registry: Which models there are.
        clock: Time.
        room: Lets tasks in while there is room.
    """

    def __init__(
        self,
        tasks: TaskRepository,
        queue: WakeQueue,
        registry: Registry,
        clock: Clock,
        task_quotas: TaskQuotas,
    ) -> None:
        self._tasks = tasks
        self._queue = queue
        self._registry = registry
        self._clock = clock
        self._task_quotas = task_quotas

    async def __call__(
        self,
        task_type: TaskType,
        body: Mapping[str, Any],
        caller: Caller = ANYBODY,
        *,
        row_of: RowOf | None = None,
        same: Idempotency | None = None,
    ) -> Task:
        """
        Check a caller's flat body, store the task and wake a worker.

        A wake that cannot be sent is logged and the task is accepted all the same: the reconciler finds it.

        Args:
            task_type: What the task makes.
            body: What the caller sent.
            caller: Who that is.
            row_of: Makes the row of the audit log that is written with the task; without it there is none.
            same: What makes a repeated request the same request; see `services.tasks.idempotency`.

        Raises:
            InvalidRequest: Names every wrong field; also as UnknownProvider and UnknownModel.
            ProviderUnavailable: None of the choices can take tasks here.
            QueueFull, TooManyTasks: There is no room for another task of the provider, or of the caller's key.
            QueueUnavailable: Redis is away, and the operator wants no tasks then.
            AuditFailed: The row cannot be written; nothing was stored.
            IdempotencyKeyTaken: The same request, or another one with its key, was first; nothing was stored.
            StoreUnavailable: Nobody was woken, and nothing was stored as far as is known; a database that hangs may
                still take the write, and the task is then done.
        """
        return await self.take(task_type, self._checked(task_type, body), caller, row_of=row_of, same=same)

    async def take(
        self,
        task_type: TaskType,
        order: TaskOrder,
        caller: Caller,
        *,
        row_of: RowOf | None = None,
        same: Idempotency | None = None,
    ) -> Task:
        """
        Store a task for what was found good, and wake a worker.

        Raises:
            QueueFull, TooManyTasks, IdempotencyKeyTaken, QueueUnavailable, StoreUnavailable: As the call itself.
        """
        quotas = self._task_quotas.needed(order.common.provider, caller.owner, caller.limits)
        task = self._new_task(task_type, order, caller, quotas, same)
        async with self._task_quotas.taken(task, quotas):
            await self._tasks.add(task, order.task_input, row=row_of(task) if row_of is not None else None)
        try:
            await self._queue.wake(task.id, at=task.created, priority=task.priority)
        except QueueUnavailable as error:
            log.warning("wake_failed", task_id=task.id, reason=str(error))
        return task

    def _checked(self, task_type: TaskType, body: Mapping[str, Any]) -> TaskOrder:
        common, problems = read_common(body)
        route = self._route(task_type, body, problems)
        task_input, more = _input(route, own_fields(body))
        problems += more
        if common is None:
            raise InvalidRequest(problems[:MOST_PROBLEMS])
        fallbacks, more = read_fallbacks(self._registry, task_type, common, task_input)
        problems += more
        if task_input is None or problems:
            raise InvalidRequest(problems[:MOST_PROBLEMS])
        routes = [route, *(fallback.route for fallback in fallbacks)]
        available(routes)
        prompt = task_input.get("prompt")
        return TaskOrder(
            prompt=prompt if isinstance(prompt, str) else None,
            common=common,
            task_input=task_input,
            fallbacks=tuple([fallback.choice for fallback in fallbacks]),
            longest_s=max([route.model.timeout_s for route in routes]),
        )

    def _route(self, task_type: TaskType, body: Mapping[str, Any], problems: list[FieldProblem]) -> Route:
        """Where the task goes. What is wrong with the caller's other fields is told with what is wrong with this."""
        if any(problem.field in {"provider", "model"} for problem in problems):
            raise InvalidRequest(problems)
        try:
            return route_of(self._registry, body["provider"], body["model"], task_type)
        except InvalidRequest as error:
            raise type(error)([*error.details, *problems]) from error

    def _new_task(
        self, task_type: TaskType, order: TaskOrder, caller: Caller, quotas: Sequence[Quota], same: Idempotency | None
    ) -> Task:
        now, common = self._clock(), order.common
        return Task(
            id=new_task_id(now),
            type=task_type,
            provider=common.provider,
            model=common.model,
            user_id=common.user_id,
            owner=caller.owner,
            key_id=caller.key_id,
            key_max_concurrent=self._task_quotas.slots_of(caller),
            quotas=tuple(quota.name for quota in quotas),
            idempotency=same,
            replay=caller.replay,
            fallbacks=order.fallbacks,
            priority=common.priority,
            prompt=order.prompt[:LONGEST_PROMPT_SHOWN] if order.prompt is not None else None,
            relay=order.relay,
            metadata=common.metadata,
            created=now,
            updated=now,
            deadline=now + timedelta(milliseconds=round((common.deadline_s or order.longest_s) * 1000)),
            wake_at=now,
        )


def _input(route: Route, raw: Mapping[str, Any]) -> tuple[TaskInput | None, list[FieldProblem]]:
    """The model's own params, and what is wrong with them; a name that nobody knows is compared with all names."""
    names = field_names(route.model.params)
    unknown: list[FieldProblem] = []
    known = raw
    if any(name not in names for name in raw):
        unknown += unknown_fields(raw, [*COMMON_FIELDS, *names], raw)
        known = {name: value for name, value in raw.items() if name in names}
    try:
        task_input = input_of(checked(known, route.model.params))
    except InvalidRequest as error:
        return None, [*unknown, *error.details]
    return task_input, [*unknown, *unstorable(task_input, "")]
