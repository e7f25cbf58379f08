"""Rate limit of requests per API key: the guard that counts, and the response headers that report what is left."""

from collections.abc import Sequence

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from api.context import RequestContext, context_of
from core.errors import TooManyRequests
from services.limits.rate_limiter import RateLimiter


class RateLimitGuard:
    """
    Runs before every handler, after the guard that authenticates the caller.

    Args:
        rate_limiter: Counts requests per API key.
    """

    def __init__(self, rate_limiter: RateLimiter) -> None:
        self._rate_limiter = rate_limiter

    async def __call__(self, call: ASGIConnection, _: BaseRouteHandler) -> None:  # type: ignore[type-arg]
        """
        Count the request, and note in its context what is left.

        Raises:
            TooManyRequests: The key's limit is reached.
        """
        context = context_of(call)
        try:
            context.rate_limit = await self._rate_limiter.admit(context.caller)
        except TooManyRequests as error:
            context.rate_limit = error.rate_limit_status
            raise


def rate_limit_headers(context: RequestContext) -> Sequence[tuple[bytes, bytes]]:
    """
    What is left of the limit, where there is one.

    The names are those of draft-ietf-httpapi-ratelimit-headers up to its version 06, which clients know.
    """
    rate_limit = context.rate_limit
    if rate_limit is None:
        return ()
    return (
        (b"ratelimit-limit", b"%d" % rate_limit.limit),
        (b"ratelimit-remaining", b"%d" % rate_limit.left),
        (b"ratelimit-reset", b"%d" % rate_limit.reset_s),
    )
