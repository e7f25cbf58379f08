"""Request rate limiter per API key: sliding one-minute window shared by all processes."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from core.callers import Caller, KeyLimits
from core.clock import Clock
from core.errors import QueueUnavailable, TooManyRequests
from core.rates import RateLimitStatus, Rates

PATIENCE_S: Final = 0.5
"""How long a request waits to be counted, at most; then it passes uncounted."""

PAUSE: Final = timedelta(seconds=1)
"""How long requests pass uncounted after Redis did not respond."""

log = structlog.get_logger(__name__)


class RateLimiter:
    """
    Counts the requests of API keys.

    If Redis is unavailable requests pass uncounted: a rate limit must not make the server unusable.

    Args:
        rates: Shared by all processes.
        defaults: The limits of keys that have none of their own.
        clock: Now.
    """

    def __init__(self, rates: Rates, defaults: KeyLimits, clock: Clock) -> None:
        self._rates = rates
        self._defaults = defaults
        self._clock = clock
        self._paused_until = clock()

    async def admit(self, caller: Caller) -> RateLimitStatus | None:
        """
        Count a request; returns what is left of the limit, or None if there is no limit or Redis is unavailable.

        Raises:
            TooManyRequests: The key has reached its limit of requests in the last minute.
        """
        if caller.owner is None:
            return None
        limit = caller.limits.over(self._defaults).requests_per_minute
        if limit is None or self._clock() < self._paused_until:
            return None
        try:
            async with asyncio.timeout(PATIENCE_S):
                rate_limit_status = await self._rates.count(caller.owner, limit=limit)
        except (QueueUnavailable, TimeoutError) as error:
            self._paused_until = self._clock() + PAUSE
            log.warning(
                "rate_limit_unavailable", reason=str(error) or "no response in time", pause_s=PAUSE.total_seconds()
            )
            return None
        if not rate_limit_status.passed:
            raise TooManyRequests(
                f"this key reached its limit of {limit} requests in a minute; try again later",
                rate_limit_status=rate_limit_status,
            )
        return rate_limit_status
