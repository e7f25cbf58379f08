"""
Request rates in Redis: for each caller a hash with the number of requests in each second of the last minute.

Sliding 60-second window, one-second resolution: no 60 whole seconds contain more than the limit. Requests of the same
moment share a round trip. Seconds are those of the caller's clock, as for the gates.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec
from arq.connections import ArqRedis

from core.clock import Clock, utc_now
from core.rates import WINDOW_S, RateLimitStatus
from repositories.group_commit import GroupCommit
from repositories.valkey.connection import queue_errors
from repositories.valkey.lua_scripts import lua_script

PREFIX: Final = "polyrelay:rate:"

_AT_ONCE: Final = 200

_Request: TypeAlias = tuple[str, int]
"""The caller, and the limit."""


class RedisRates:
    """Adapter of `Rates`, shared by all processes of one Redis or Valkey."""

    def __init__(self, redis: ArqRedis, *, clock: Clock = utc_now) -> None:
        self._redis = redis
        self._clock = clock
        self._script = redis.register_script(lua_script("rates", "count"))
        self._together: GroupCommit[_Request, RateLimitStatus] = GroupCommit(self._count, most=_AT_ONCE)

    async def count(self, whose: str, *, limit: int) -> RateLimitStatus:
        """As `Rates.count`."""
        return await self._together((whose, limit))

    async def _count(self, requests: Sequence[_Request]) -> Sequence[RateLimitStatus]:
        second = int(self._clock().timestamp())
        keys = [PREFIX + whose for whose, _ in requests]
        with queue_errors(self._redis):
            found = await self._script(keys=keys, args=[second, WINDOW_S, *(limit for _, limit in requests)])
        answers = msgspec.convert(found, list[tuple[int, int, int]])
        return [
            RateLimitStatus(limit=limit, left=left, reset_s=max(1, frees + WINDOW_S - second), passed=bool(passed))
            for (_, limit), (passed, left, frees) in zip(requests, answers, strict=True)
        ]
