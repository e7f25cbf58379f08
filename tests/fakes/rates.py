"""In-memory adapter of `Rates`."""

from collections import deque

from core.clock import Clock, utc_now
from core.errors import QueueUnavailable
from core.rates import WINDOW_S, RateLimitStatus


class MemoryRates:
    """
    Adapter of `Rates` for tests: for each key the seconds of the requests of the last minute.

    Attributes:
        reachable: While it is False, every call raises `QueueUnavailable`.
        asked: Number of calls.
    """

    def __init__(self, *, clock: Clock = utc_now) -> None:
        self.reachable = True
        self.asked = 0
        self._clock = clock
        self._seconds: dict[str, deque[int]] = {}

    async def count(self, whose: str, *, limit: int) -> RateLimitStatus:
        """As `Rates.count`."""
        self.asked += 1
        if not self.reachable:
            raise QueueUnavailable("the in-memory rates were made unreachable by the test")
        second = int(self._clock().timestamp())
        seconds = self._seconds.setdefault(whose, deque())
        while seconds and seconds[0] <= second - WINDOW_S:
            seconds.popleft()
        passed = len(seconds) < limit
        if passed:
            seconds.append(second)
        frees = seconds[max(len(seconds) - limit, 0)] if seconds else second
        return RateLimitStatus(
            limit=limit, left=max(limit - len(seconds), 0), reset_s=max(1, frees + WINDOW_S - second), passed=passed
        )
