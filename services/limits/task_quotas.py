"""Task quotas: new tasks are refused when a quota is full; a task counts from before it is stored until it ends."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import structlog
from msgspec import Struct

from core.callers import Caller, KeyLimits
from core.errors import ComeBackLater, QueueFull, QueueUnavailable, TooManyTasks
from core.quotas import Counting, Quota, Quotas, counting_of, quota_name, quotas_to_release
from core.task_repository import TaskRepository
from core.task_states import State
from core.tasks import Task

FULL_RETRY_AFTER_S: Final = 10
"""The `Retry-After` of a task that a quota refused, in seconds."""

GRACE: Final = timedelta(minutes=2)
"""How long after its deadline a task is counted if its end was not reported."""

log = structlog.get_logger(__name__)


class QuotaLimits(Struct, frozen=True, kw_only=True):
    """
    The limits that the operator set.

    Attributes:
        slots: Open submissions by provider, "*" for those that are not named: the limits of the providers' gates.
        queue: Tasks of one provider that may wait beside them; None for no limit.
        key: The limits of keys that have none of their own.
    """

    slots: Mapping[str, int] = {}
    queue: int | None = None
    key: KeyLimits = KeyLimits()


class TaskQuotas:
    """
    Counts new tasks in their quotas, and refuses them when a quota is full.

    If Redis is unavailable, tasks are counted in MongoDB; concurrent requests may then exceed the limit by one each.

    Args:
        quotas: Shared by all processes.
        tasks: The stored tasks.
        quota_limits: The limits that the operator set.
        need_queue: Pings the queue when no quota is taken, to refuse tasks while Redis is unavailable. None to create
            them all the same.
    """

    def __init__(
        self,
        quotas: Quotas,
        tasks: TaskRepository,
        quota_limits: QuotaLimits,
        *,
        need_queue: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._quotas = quotas
        self._tasks = tasks
        self._quota_limits = quota_limits
        self._need_queue = need_queue

    def slots_of(self, caller: Caller) -> int | None:
        """How many submissions of the caller's key may be open at once; None for no limit."""
        if caller.owner is None:
            return None
        return _or_default(caller.limits.max_concurrent, self._quota_limits.key.max_concurrent)

    def needed(self, provider: str, owner: str | None, limits: KeyLimits) -> Sequence[Quota]:
        """The quotas in which a task for that provider counts, if a key of that owner creates it."""
        slots = self._quota_limits.slots.get(provider, self._quota_limits.slots.get("*"))
        found = [_quota("provider", provider, slots, self._quota_limits.queue)]
        if owner is not None:
            defaults = self._quota_limits.key
            slots = _or_default(limits.max_concurrent, defaults.max_concurrent)
            found.append(_quota("key", owner, slots, _or_default(limits.max_queue, defaults.max_queue)))
        return [quota for quota in found if quota is not None]

    @asynccontextmanager
    async def taken(self, task: Task, needed: Sequence[Quota]) -> AsyncIterator[None]:
        """
        Count the task; store it within the block. If the block raises, the task is no longer counted.

        If the process crashes in the block, the task is counted until the quota reconciler finds that it is not stored.

        Raises:
            QueueFull, TooManyTasks: A quota is full.
            QueueUnavailable: Redis is unavailable, and a setting says that no task is created without it.
        """
        await self._take(task, needed)
        try:
            yield
        except BaseException:
            await give_back(self._quotas, task.id, [quota.name for quota in needed])
            raise

    async def _take(self, task: Task, needed: Sequence[Quota]) -> None:
        full: Quota | None = None
        try:
            if needed:
                full = await self._quotas.take(task.id, needed, until=task.deadline + GRACE)
            elif self._need_queue is not None:
                await self._need_queue()
        except QueueUnavailable as error:
            if self._need_queue is not None:
                raise
            log.warning("quotas_counted_in_mongodb", reason=str(error))
            full = await self._full_by_stored_tasks(needed)
        if full is not None:
            raise _refusal_of(full)

    async def _full_by_stored_tasks(self, needed: Sequence[Quota]) -> Quota | None:
        for quota in needed:
            states = [state for state in State if counting_of(quota.name).counts(state)]
            if await self._tasks.count_in(quota.name, states, limit=max(1, quota.limit)) >= quota.limit:
                return quota
        return None


async def release_quotas(quotas: Quotas, task: Task) -> None:
    """Stop counting a task in the quotas that its present state has left; call it after the save."""
    await give_back(quotas, task.id, quotas_to_release(task))


async def give_back(quotas: Quotas, task_id: str, names: Sequence[str]) -> None:
    """Stop counting a task in those quotas. If Redis is unavailable, the quota reconciler does it later."""
    if not names:
        return
    try:
        await quotas.give_back(task_id, names)
    except QueueUnavailable as error:
        log.warning("quota_release_failed", task_id=task_id, reason=str(error))


def _quota(kind: str, whose: str, slots: int | None, queue: int | None) -> Quota | None:
    """If slots are limited, they count together with the waiting tasks: a new task may get a slot at once."""
    if queue is None:
        return None
    if slots is None:
        return Quota(name=quota_name(Counting.WAITING, kind, whose), limit=queue)
    return Quota(name=quota_name(Counting.OPEN, kind, whose), limit=slots + queue)


def _or_default(limit: int | None, default: int | None) -> int | None:
    return default if limit is None else limit


def _refusal_of(full: Quota) -> ComeBackLater:
    counting, kind, whose = full.name.split(":", 2)
    verb = "are open" if counting == Counting.OPEN else "wait"
    if kind == "key":
        text = f"this key reached its limit: {full.limit} of its tasks {verb}; try again later"
        return TooManyTasks(text, retry_after_s=FULL_RETRY_AFTER_S)
    text = f"{whose} reached its limit: {full.limit} tasks {verb}; try again later"
    return QueueFull(text, retry_after_s=FULL_RETRY_AFTER_S)
