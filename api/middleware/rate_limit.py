"""The bound on requests, as the framework asks it, and as callers are told of it."""

from collections.abc import Sequence

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Scope

from api.roles import caller_in
from core.errors import TooManyRequests
from core.rates import RateLimitStatus
from services.limits.rate_limiter import RateLimiter

_NOTED = "allowance"


class RateLimit:
    """
    Stands before every handler, behind the guard that finds out who calls.

    Args:
        pace: Counts.
    """

    def __init__(self, rate_limiter: RateLimiter) -> None:
        self._rate_limiter = rate_limiter

    async def __call__(self, call: ASGIConnection, _: BaseRouteHandler) -> None:  # type: ignore[type-arg]
        """
        Let the request through, with what is left noted.

        Raises:
            TooManyRequests: It comes too soon.
        """
        state = call.scope["state"]
        try:
            state[_NOTED] = await self._rate_limiter.admit(caller_in(call.scope))
        except TooManyRequests as error:
            state[_NOTED] = error.rate_limit_status
            raise


def rate_limit_headers(scope: Scope) -> Sequence[tuple[bytes, bytes]]:
    """
    What is left, where requests are bounded.

    The names are those of draft-ietf-httpapi-ratelimit-headers up to its version 06, which clients know.
    """
    rate_limit_status: RateLimitStatus | None = scope["state"].get(_NOTED)
    if rate_limit_status is None:
        return ()
    return (
        (b"ratelimit-limit", b"%d" % rate_limit_status.limit),
        (b"ratelimit-remaining", b"%d" % rate_limit_status.left),
        (b"ratelimit-reset", b"%d" % rate_limit_status.reset_s),
    )
