"""
Quotas in Redis: for each quota a sorted set of the tasks that count, by the time until which they count.

Times are milliseconds of the caller's clock, as for the gates.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from arq.connections import ArqRedis

from core.clock import Clock, unix_ms, utc_now
from core.quotas import Counted, Quota
from repositories.group_commit import GroupCommit
from repositories.valkey.connection import queue_errors
from repositories.valkey.lua_scripts import lua_script

PREFIX: Final = "polyrelay:quota:"
INDEX: Final = "polyrelay:quotas"
"""The set of the names of all quotas."""

_KEPT: Final = timedelta(days=1)
"""Keys outlive the last task that they count by this time."""
_AT_ONCE: Final = 500
_TASKS_AT_ONCE: Final = 100


class _Taking(NamedTuple):
    task_id: str
    quotas: Sequence[Quota]
    until: datetime


class RedisQuotas:
    """Adapter of `Quotas`, shared by all processes of one Redis or Valkey."""

    def __init__(self, redis: ArqRedis, *, clock: Clock = utc_now) -> None:
        self._redis = redis
        self._clock = clock
        self._take = redis.register_script(lua_script("quotas", "take"))
        self._restore = redis.register_script(lua_script("quotas", "restore"))
        self._together: GroupCommit[_Taking, Quota | None] = GroupCommit(self._take_each, most=_TASKS_AT_ONCE)

    async def take(self, task_id: str, quotas: Sequence[Quota], *, until: datetime) -> Quota | None:
        """As `Quotas.take`; tasks of the same moment share a round trip."""
        return await self._together(_Taking(task_id, quotas, until))

    async def _take_each(self, takings: Sequence[_Taking]) -> Sequence[Quota | None]:
        names = _keys(quota.name for taking in takings for quota in taking.quotas)
        words: list[str | int] = []
        for task_id, quotas, until in takings:
            words += [task_id, unix_ms(until), len(quotas)]
            words += [word for quota in quotas for word in (quota.name, quota.limit)]
        with queue_errors(self._redis):
            answers = await self._take(keys=names, args=[*self._times(), *words])
        return [taking.quotas[full - 1] if full else None for taking, full in zip(takings, answers, strict=True)]

    async def give_back(self, task_id: str, quotas: Sequence[str]) -> None:
        """As `Quotas.give_back`; one round trip."""
        with queue_errors(self._redis):
            async with self._redis.pipeline(transaction=False) as pipe:
                for name in quotas:
                    pipe.zrem(PREFIX + name, task_id)
                await pipe.execute()

    async def restore(self, counted: Sequence[Counted]) -> None:
        """As `Quotas.restore`; one round trip for each 500."""
        for start in range(0, len(counted), _AT_ONCE):
            some = counted[start : start + _AT_ONCE]
            words = [word for each in some for word in (each.quota, each.task_id, unix_ms(each.until))]
            with queue_errors(self._redis):
                await self._restore(keys=_keys(each.quota for each in some), args=[*self._times(), *words])

    async def counted(self) -> Mapping[str, Set[str]]:
        """As `Quotas.counted`."""
        now = unix_ms(self._clock())
        with queue_errors(self._redis):
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.smembers(INDEX)
                (known,) = await pipe.execute()
                names = [name.decode() for name in known]
                for name in names:
                    pipe.zrangebyscore(PREFIX + name, f"({now}", "+inf")
                found = await pipe.execute()
        return {name: frozenset(map(bytes.decode, ids)) for name, ids in zip(names, found, strict=True) if ids}

    def _times(self) -> tuple[int, int]:
        return unix_ms(self._clock()), _KEPT // timedelta(milliseconds=1)


def _keys(names: Iterable[str]) -> list[str]:
    return [INDEX, *(PREFIX + name for name in names)]
