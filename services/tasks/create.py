"""Use case: create a task. It is stored durably first; only then a worker is woken."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import structlog
from msgspec import structs

from core.audit import AuditDraft, AuditRow
from core.callers import ANYBODY, Caller
from core.clock import Clock
from core.errors import FieldProblem, InvalidRequest, QueueUnavailable
from core.quotas import Quota
from core.random_ids import new_row_id, new_task_id
from core.redaction import Redact, audit_text
from core.registry import Registry, Route
from core.task_repository import TaskRepository
from core.tasks import Choice, Idempotency, Task, TaskInput
from core.validation import MOST_PROBLEMS, checked, field_names, unknown_fields
from core.wakes import WakeQueue
from polyrelay import TaskType
from services.limits.task_quotas import TaskQuotas
from services.tasks.create_fields import (
    COMMON_FIELDS,
    TaskOrder,
    input_of,
    own_fields,
    read_common,
    refuse_closed,
    route_of,
    unstorable,
)
from services.tasks.fallbacks import read_fallbacks
from services.tasks.idempotency import CreateOutcome, IdempotentCreate

LONGEST_PROMPT_SHOWN: Final = 500

log = structlog.get_logger(__name__)


class CreateTask:
    """
    Creates tasks.

    Args:
        tasks: Stores them.
        queue: Wakes a worker.
        registry: The models that are served.
        clock: Time.
        task_quotas: Limit the number of tasks.
        redact: Cuts secrets and long texts from what the audit log stores.
    """

    def __init__(
        self,
        tasks: TaskRepository,
        queue: WakeQueue,
        registry: Registry,
        clock: Clock,
        task_quotas: TaskQuotas,
        *,
        redact: Redact,
    ) -> None:
        self._tasks = tasks
        self._queue = queue
        self._registry = registry
        self._clock = clock
        self._task_quotas = task_quotas
        self._redact = redact
        self._idempotent = IdempotentCreate(tasks, clock)

    async def __call__(
        self,
        task_type: TaskType,
        body: Mapping[str, Any],
        caller: Caller = ANYBODY,
        *,
        audit: AuditDraft | None = None,
        idempotency: Idempotency | None = None,
    ) -> CreateOutcome:
        """
        Validate a caller's flat body, store the task and wake a worker.

        A wake that cannot be sent is logged and the task is created all the same: the reconciler finds it.

        Args:
            task_type: What the task makes.
            body: What the caller sent.
            caller: Who sent it.
            audit: The audit row, which is completed and written with the task; without it no row is written.
            idempotency: What makes a repeated request the same request; see `services.tasks.idempotency`.

        Raises:
            InvalidRequest: Names every wrong field; also as UnknownProvider and UnknownModel.
            ProviderUnavailable: None of the choices can take tasks here.
            QueueFull, TooManyTasks: The quota of the provider, or of the caller's key, is full.
            QueueUnavailable: Redis is unavailable, and `ACCEPT_WITHOUT_QUEUE` is off.
            AuditFailed: The audit row cannot be written; nothing was stored.
            IdempotencyKeyReused, ReplayedRequest, Stale: As `IdempotentCreate`; nothing was stored.
            StoreUnavailable: No worker was woken, and nothing was stored as far as is known; a database that hangs may
                still complete the write, and the task is then run.
        """

        async def create() -> Task:
            order = _checked_order(self._registry, task_type, body)
            return await self.store(order, caller, audit=audit, idempotency=idempotency)

        return await self.once(idempotency, create)

    async def once(self, idempotency: Idempotency | None, create: Callable[[], Awaitable[Task]]) -> CreateOutcome:
        """
        Create a task, unless an earlier request with that idempotency key has.

        Raises:
            IdempotencyKeyReused, ReplayedRequest, Stale: As `IdempotentCreate`.
        """
        if idempotency is None:
            return CreateOutcome(task=await create(), replayed=False)
        return await self._idempotent(idempotency, create)

    async def store(
        self,
        order: TaskOrder,
        caller: Caller,
        *,
        audit: AuditDraft | None = None,
        idempotency: Idempotency | None = None,
    ) -> Task:
        """
        Store the task of a validated order, and wake a worker.

        Raises:
            QueueFull, TooManyTasks, QueueUnavailable, AuditFailed, StoreUnavailable: As the call itself.
            IdempotencyKeyTaken: A task with that idempotency key is stored already; nothing was stored.
        """
        quotas = self._task_quotas.needed(order.common.provider, caller.owner, caller.limits)
        task = self._new_task(order, caller, quotas, idempotency)
        async with self._task_quotas.taken(task, quotas):
            row = None if audit is None else self._complete(audit, task)
            await self._tasks.add(task, order.task_input, row=row)
        try:
            await self._queue.wake(task.id, at=task.created, priority=task.priority)
        except QueueUnavailable as error:
            log.warning("wake_failed", task_id=task.id, reason=str(error))
        return task

    def _new_task(
        self, order: TaskOrder, caller: Caller, quotas: Sequence[Quota], idempotency: Idempotency | None
    ) -> Task:
        now, common = self._clock(), order.common
        return Task(
            id=new_task_id(now),
            type=order.type,
            provider=common.provider,
            model=common.model,
            user_id=common.user_id,
            owner=caller.owner,
            key_id=caller.key_id,
            key_max_concurrent=self._task_quotas.slots_of(caller),
            quotas=tuple([quota.name for quota in quotas]),
            idempotency=idempotency,
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

    def _complete(self, audit: AuditDraft, task: Task) -> AuditRow:
        """
        The row as it is written with the task: that it was created. The API amends it if the response says otherwise.

        Each try has an id of its own: the row of a try that failed may be stored.
        """
        now, detail = self._clock(), self._redact(audit.body)
        audit.row = structs.replace(
            audit.row,
            id=new_row_id(now),
            at=now,
            target=task.id,
            provider=task.provider,
            model=audit_text(task.model),
            duration_ms=round((time.perf_counter() - audit.started_s) * 1000, 1),
            detail=detail if isinstance(detail, dict) else None,
        )
        audit.is_complete = True
        return audit.row


def _checked_order(registry: Registry, task_type: TaskType, body: Mapping[str, Any]) -> TaskOrder:
    """
    Validate a caller's flat body.

    Raises:
        InvalidRequest: Names every wrong field; also as UnknownProvider and UnknownModel.
        ProviderUnavailable: None of the choices can take tasks here.
    """
    common, problems = read_common(body)
    route = _route(registry, task_type, body, problems)
    task_input, more = _read_params(route, own_fields(body))
    problems += more
    if common is None:
        raise InvalidRequest(problems[:MOST_PROBLEMS])
    fallbacks: tuple[Choice, ...] = ()
    routes = [route]
    if common.fallbacks:
        candidates, more = read_fallbacks(registry, task_type, common, task_input)
        problems += more
        fallbacks = tuple([candidate.choice for candidate in candidates])
        routes += [candidate.route for candidate in candidates]
    if task_input is None or problems:
        raise InvalidRequest(problems[:MOST_PROBLEMS])
    refuse_closed(routes)
    prompt = task_input.get("prompt")
    return TaskOrder(
        type=task_type,
        common=common,
        task_input=task_input,
        fallbacks=fallbacks,
        longest_s=max([route.model.timeout_s for route in routes]),
        prompt=prompt if isinstance(prompt, str) else None,
    )


def _route(registry: Registry, task_type: TaskType, body: Mapping[str, Any], problems: list[FieldProblem]) -> Route:
    """The route of the first choice. If it has none, the error also names what is wrong with the other fields."""
    if any(problem.field in {"provider", "model"} for problem in problems):
        raise InvalidRequest(problems)
    try:
        return route_of(registry, body["provider"], body["model"], task_type)
    except InvalidRequest as error:
        raise type(error)([*error.details, *problems]) from error


def _read_params(route: Route, raw: Mapping[str, Any]) -> tuple[TaskInput | None, list[FieldProblem]]:
    """The model's params, or None where they are wrong, and what is wrong; an unknown name may be any field's."""
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
