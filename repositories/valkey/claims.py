"""Wake queue with notifications: a wake notifies an idle worker, and a worker claims many wakes in one step."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

from arq.connections import ArqRedis
from arq.jobs import serialize_job

from core.claims import Claim, ClaimEnding, TakenClaims
from core.clock import unix_ms, utc_now
from core.errors import QueueUnavailable
from core.priorities import Priority, turns
from core.settings import QueueEngine
from core.wakes import Wake
from repositories.group_commit import GroupCommit
from repositories.valkey.connection import QUEUE_NAMES, queue_errors, serialize
from repositories.valkey.lua_scripts import lua_script
from repositories.valkey.wakes import IDS_TRIED, WAKE_FUNCTION, WAKE_KEPT, ArqWakeQueue, not_queued

LOCK_S: Final = 30.0
"""How long the claims of a crashed worker stay locked. A wake that runs twice does no harm: the stored task decides."""

IDLE_S: Final = 1.0
"""An idle worker looks for wakes at least this often, in case its notification was lost."""

_NOTIFICATION_KEPT_MS: Final = 60_000
_WAKES_AT_ONCE: Final = 500
_WAKE_KEPT_MS: Final = WAKE_KEPT // timedelta(milliseconds=1)
_PRIORITIES: Final = tuple(Priority)
_NUMBERS: Final = {priority: number for number, priority in enumerate(_PRIORITIES, start=1)}


def notification_key_of(priority: Priority) -> str:
    """The list on which idle workers wait for notifications of that priority."""
    return f"{QUEUE_NAMES[priority]}:bell"


def wake_queue(redis: ArqRedis, engine: QueueEngine) -> ArqWakeQueue:
    """The wake queue for an engine of the workers."""
    return NotifyingWakeQueue(redis) if engine == "claim" else ArqWakeQueue(redis)


class NotifyingWakeQueue(ArqWakeQueue):
    """
    The wakes of `ArqWakeQueue`, written in one round trip that also notifies an idle worker.

    Wakes that are requested during a round trip share the next one.
    """

    def __init__(self, redis: ArqRedis, *, clock: Callable[[], datetime] = utc_now) -> None:
        super().__init__(redis, clock=clock)
        self._script = redis.register_script(lua_script("queue", "wake"))
        self._together: GroupCommit[Wake, None] = GroupCommit(self._wake_each, most=_WAKES_AT_ONCE)

    async def wake(self, task_id: str, *, at: datetime, priority: Priority = Priority.DEFAULT) -> None:
        """As `WakeQueue.wake`."""
        await self._together(Wake(task_id=task_id, at=at, priority=priority))

    async def requeue(self, wakes: Sequence[Wake]) -> None:
        """As `WakeQueue.requeue`; several hundred go in one round trip."""
        await self._written(await self.lost(wakes), ids_tried=1, existing="NX")

    async def _wake_each(self, wakes: Sequence[Wake]) -> Sequence[QueueUnavailable | None]:
        refused = {task_id.decode() for task_id in await self._written(wakes, ids_tried=IDS_TRIED, existing="LT")}
        return [not_queued(wake.task_id) if wake.task_id in refused else None for wake in wakes]

    async def _written(self, wakes: Sequence[Wake], *, ids_tried: int, existing: str) -> list[bytes]:
        """
        Write the wakes and return the tasks for which no id was free, because `ids_tried` of their wakes are running.

        A wake that exists is left unchanged ("NX"), or made due by its time if it was deferred ("LT").
        """
        refused: list[bytes] = []
        for first in range(0, len(wakes), _WAKES_AT_ONCE):
            with queue_errors(self._redis):
                refused += await self._script(
                    keys=_keys(_PRIORITIES),
                    args=[
                        _NOTIFICATION_KEPT_MS,
                        ids_tried,
                        existing,
                        *self._arguments(wakes[first : first + _WAKES_AT_ONCE]),
                    ],
                )
        return refused

    def _arguments(self, wakes: Sequence[Wake]) -> Iterator[Any]:
        now = unix_ms(self._clock())
        for wake in wakes:
            at = unix_ms(wake.at)
            kept_ms = max(at - now, 0) + _WAKE_KEPT_MS
            job = serialize_job(WAKE_FUNCTION, (wake.task_id,), {}, None, now, serializer=serialize)
            yield from (_NUMBERS[wake.priority], wake.task_id, at, kept_ms, job)


class RedisClaims:
    """
    Adapter of `Claims`.

    Args:
        redis: The client.
        worker: The unique name of this worker.
        priorities: The queues that it serves.
        lock_s: How long the lock of a claim lasts without `hold`.
        idle_s: How long an idle worker waits for a notification.
    """

    def __init__(
        self,
        redis: ArqRedis,
        *,
        worker: str,
        priorities: Collection[Priority] = _PRIORITIES,
        lock_s: float = LOCK_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self.lock_s = lock_s
        self.idle_s = idle_s
        self._redis = redis
        self._worker = worker
        self._served = tuple(priority for priority in Priority if priority in priorities)
        self._turns = "".join(str(self._number(priority)) for priority in turns(self._served))
        self._turn = 0
        self._take = redis.register_script(lua_script("queue", "take"))
        self._hold = redis.register_script(lua_script("queue", "hold"))

    async def take(self, most: int, *, ended: Sequence[ClaimEnding] = ()) -> TakenClaims:
        """As `Claims.take`."""
        args: list[Any] = [self._worker, most, _ms(self.lock_s), _ms(self.idle_s), _NOTIFICATION_KEPT_MS]
        args += [self._turns, self._turn]
        for ending in ended:
            again = "" if ending.again_in_s is None else _ms(ending.again_in_s)
            args += [self._number(ending.claim.priority), ending.claim.id, again]
        with queue_errors(self._redis):
            self._turn, next_ms, found = await self._take(keys=_keys(self._served), args=args)
        claims = [Claim(id=id_.decode(), priority=self._served[number - 1], job=job) for number, id_, job in found]
        return TakenClaims(claims=tuple(claims), next_in_s=None if next_ms < 0 else next_ms / 1000)

    async def hold(self, claims: Sequence[Claim]) -> None:
        """As `Claims.hold`."""
        args: list[Any] = [self._worker, _ms(self.lock_s)]
        for claim in claims:
            args += [self._number(claim.priority), claim.id]
        with queue_errors(self._redis):
            await self._hold(keys=_keys(self._served), args=args)

    async def notified(self) -> bool:
        """As `Claims.notified`."""
        notification_keys = [notification_key_of(priority) for priority in self._served]
        with queue_errors(self._redis):
            return await cast(Awaitable[Any], self._redis.blpop(notification_keys, cast(int, self.idle_s))) is not None

    def _number(self, priority: Priority) -> int:
        return self._served.index(priority) + 1


def _keys(priorities: Sequence[Priority]) -> list[str]:
    return [name for priority in priorities for name in (QUEUE_NAMES[priority], notification_key_of(priority))]


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
