"""Port of the request rate limiter: counts the requests of each API key in a sliding minute."""

from typing import Final, Protocol

from msgspec import Struct

WINDOW_S: Final = 60
"""The window in seconds. It slides, with a resolution of one second."""


class RateLimitStatus(Struct, frozen=True, kw_only=True):
    """
    The state of a rate limit after a request.

    Attributes:
        limit: Requests in a minute.
        left: How many more requests pass now.
        reset_s: When one more request than now will pass, in seconds.
        passed: Whether this request passed. A rejected request does not count.
    """

    limit: int
    left: int
    reset_s: int
    passed: bool


class Rates(Protocol):
    """Counters shared by all processes. Raises `QueueUnavailable` if Redis is unavailable."""

    async def count(self, whose: str, *, limit: int) -> RateLimitStatus:
        """Count a request of `whose`, unless `limit` requests were counted within the last minute."""
