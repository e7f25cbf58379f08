"""Rates: how many requests a key may make in a minute."""

from typing import Final, Protocol

from msgspec import Struct

WINDOW_S: Final = 60
"""The minute, which slides by whole seconds."""


class RateLimitStatus(Struct, frozen=True, kw_only=True):
    """
    What is left after a request.

    Attributes:
        limit: Requests in a minute.
        left: How many more are let through now.
        reset_s: When there will be one more than now, in seconds.
        passed: Whether this request was let through. One that was not does not count.
    """

    limit: int
    left: int
    reset_s: int
    passed: bool


class Rates(Protocol):
    """Shared by all processes. Raises `QueueUnavailable` where Redis cannot be reached."""

    async def count(self, whose: str, *, limit: int) -> RateLimitStatus:
        """Count a request, unless as many as the limit were counted in the minute up to now."""
