"""
Rates in Redis: for each key a hash with the requests of each second of the last minute.

Exact to a second: in no 60 whole seconds more than the limit pass. Requests of one moment share a round trip. Seconds
are those of the caller's clock, as with the gates.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec
from arq.connections import ArqRedis

from core.clock import Clock, utc_now
from core.rates import WINDOW_S, RateLimitStatus
from repositories.group_commit import GroupCommit
from repositories.valkey.connection import queue_errors

PREFIX: Final = "polyrelay:rate:"

_AT_ONCE: Final = 200

_Request: TypeAlias = tuple[str, int]
"""Whose, and the limit."""

_COUNT: Final = """
-- KEYS: the hash of each request; ARGV: the second, the window; then the limit of each request
-- Answers of each request whether it passed, how many more may, and the oldest second that counts.
local second, window = tonumber(ARGV[1]), tonumber(ARGV[2])

local function counted(key)
  local total, slots, stale = 0, {}, {}
  local found = redis.call('HGETALL', key)
  for i = 1, #found, 2 do
    local at = tonumber(found[i])
    if at <= second - window then
      stale[#stale + 1] = found[i]
    else
      total = total + found[i + 1]
      slots[#slots + 1] = {at, tonumber(found[i + 1])}
    end
  end
  if #stale > 0 then redis.call('HDEL', key, unpack(stale)) end
  table.sort(slots, function(one, other) return one[1] < other[1] end)
  return total, slots
end

-- The second whose end makes room for one more than there is now, where more than the limit may have been counted.
local function frees(total, slots, limit)
  local over = math.max(total - limit, 0)
  for _, slot in ipairs(slots) do
    over = over - slot[2]
    if over < 0 then return slot[1] end
  end
  return second
end

local answers = {}
for n, key in ipairs(KEYS) do
  local limit = tonumber(ARGV[n + 2])
  local total, slots = counted(key)
  local passed = total < limit
  if passed then
    redis.call('HINCRBY', key, second, 1)
    redis.call('EXPIRE', key, window + 1)
    total, slots = total + 1, #slots > 0 and slots or {{second, 1}}
  end
  answers[n] = {passed and 1 or 0, math.max(limit - total, 0), frees(total, slots, limit)}
end
return answers
"""


class RedisRates:
    """As `Rates`, shared by all processes of one Redis or Valkey."""

    def __init__(self, redis: ArqRedis, *, clock: Clock = utc_now) -> None:
        self._redis = redis
        self._clock = clock
        self._script = redis.register_script(_COUNT)
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
