"""Room for new tasks: which quotas a task counts in, and that it does so before it is stored and until it has ended."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import structlog
from msgspec import Struct

from core.callers import Caller, KeyLimits
from core.errors import ComeBackLater, QueueFull, QueueUnavailable, TooManyTasks
from core.quotas import Counting, Quota, Quotas, counting_of, quota_name, quotas_remaining
from core.task_repository import TaskRepository
from core.task_states import State
from core.tasks import Task

FULL_RETRY_AFTER_S: Final = 10
"""When a caller for whom there was no room is to come back, in seconds."""

GRACE: Final = timedelta(minutes=2)
"""A task whose end nobody told is counted no longer that much after its deadline."""

log = structlog.get_logger(__name__)


class QuotaLimits(Struct, frozen=True, kw_only=True):
    """
    What an operator bounds.

    Attributes:
        slots: Open submissions by provider, "*" for those that are not named: the limits of the providers' gates.
        queue: Tasks of one provider that may wait beside them, or None for any number.
        key: What holds for keys that have no limits of their own.
    """

    slots: Mapping[str, int] = {}
    queue: int | None = None
    key: KeyLimits = KeyLimits()


class TaskQuotas:
    """
    Lets new tasks in while there is room.

    Where Redis is away the records are counted instead, which calls at the same moment may exceed by one each.

    Args:
        quotas: Shared by all processes.
        tasks: The record.
        bounds: What the operator bounds.
        need_queue: Asks the queue where nothing else does, to refuse tasks while it is away; None to take them.
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
        """How many submissions of the caller's key may be open at once."""
        if caller.owner is None:
            return None
        return _or_default(caller.limits.max_concurrent, self._quota_limits.key.max_concurrent)

    def needed(self, provider: str, owner: str | None, limits: KeyLimits) -> Sequence[Quota]:
        """In which quotas a task counts that is for that provider, and comes with a key of that owner."""
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
        Count the task, and store it within the block; where that fails it is counted no longer.

        A process that dies in the block leaves it counted, until the next healing finds no such task on record.

        Raises:
            QueueFull, TooManyTasks: There is no room.
            QueueUnavailable: Redis is away, and tasks are not taken without it.
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
            full = await self._full_on_record(needed)
        if full is not None:
            raise _no_room(full)

    async def _full_on_record(self, needed: Sequence[Quota]) -> Quota | None:
        for quota in needed:
            states = [state for state in State if counting_of(quota.name).counts(state)]
            if await self._tasks.count_in(quota.name, states, limit=max(1, quota.most)) >= quota.most:
                return quota
        return None


async def leave(quotas: Quotas, task: Task) -> None:
    """The task was saved as it is now: count it no longer where it has ended, or does not wait any more."""
    await give_back(quotas, task.id, quotas_remaining(task))


async def give_back(quotas: Quotas, task_id: str, names: Sequence[str]) -> None:
    """Count a task in those no longer. Made up for by upkeep where Redis is away."""
    if not names:
        return
    try:
        await quotas.give_back(task_id, names)
    except QueueUnavailable as error:
        log.warning("quota_release_failed", task_id=task_id, reason=str(error))


def _quota(kind: str, whose: str, slots: int | None, queue: int | None) -> Quota | None:
    """Where slots are limited, waiting is bounded with them: a task that is let in may have a slot at once."""
    if queue is None:
        return None
    if slots is None:
        return Quota(name=quota_name(Counting.WAITING, kind, whose), most=queue)
    return Quota(name=quota_name(Counting.OPEN, kind, whose), most=slots + queue)


def _or_default(limit: int | None, default: int | None) -> int | None:
    return default if limit is None else limit


def _no_room(full: Quota) -> ComeBackLater:
    counting, kind, whose = full.name.split(":", 2)
    verb = "are open" if counting == Counting.OPEN else "wait"
    if kind == "key":
        text = f"{full.most} tasks of this key {verb} already, as many as may; come back later"
        return TooManyTasks(text, retry_after_s=FULL_RETRY_AFTER_S)
    text = f"{full.most} tasks for {whose} {verb} already, as many as may; come back later"
    return QueueFull(text, retry_after_s=FULL_RETRY_AFTER_S)
