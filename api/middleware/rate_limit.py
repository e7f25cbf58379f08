"""The bound on requests, as the framework asks it, and as callers are told of it."""

from collections.abc import Sequence

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Scope

from api.roles import caller_in
from core.errors import TooManyRequests
from core.rates import Allowance
from services.limits.rate_limiter import Pace

_NOTED = "allowance"


class Paced:
    """
    Stands before every handler, behind the guard that finds out who calls.

    Args:
        pace: Counts.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    async def __call__(self, call: ASGIConnection, _: BaseRouteHandler) -> None:  # type: ignore[type-arg]
        """
        Let the request through, with what is left noted.

        Raises:
            TooManyRequests: It comes too soon.
        """
        state = call.scope["state"]
        try:
            state[_NOTED] = await self._pace.admit(caller_in(call.scope))
        except TooManyRequests as error:
            state[_NOTED] = error.allowance
            raise


def allowance_headers(scope: Scope) -> Sequence[tuple[bytes, bytes]]:
    """
    What is left, where requests are bounded.

    The names are those of draft-ietf-httpapi-ratelimit-headers up to its version 06, which clients know.
    """
    allowance: Allowance | None = scope["state"].get(_NOTED)
    if allowance is None:
        return ()
    return (
        (b"ratelimit-limit", b"%d" % allowance.limit),
        (b"ratelimit-remaining", b"%d" % allowance.left),
        (b"ratelimit-reset", b"%d" % allowance.reset_s),
    )
