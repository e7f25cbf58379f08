"""Who makes a request, as the handlers see it."""

from litestar.connection import ASGIConnection
from litestar.types import Scope

from core.access import ANYBODY, Caller


def caller_of(call: ASGIConnection) -> Caller:  # type: ignore[type-arg]
    """Who makes this request; where the server asks nobody, anybody may do anything."""
    return caller_in(call.scope)


def caller_in(scope: Scope) -> Caller:
    """As `caller_of`."""
    caller: Caller = scope["state"].get("caller", ANYBODY)
    return caller
