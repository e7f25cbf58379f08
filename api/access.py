"""Who makes a request, as the handlers see it."""

from litestar.connection import ASGIConnection

from core.access import ANYBODY, Caller


def caller_of(call: ASGIConnection) -> Caller:  # type: ignore[type-arg]
    """Who makes this request; where the server asks nobody, anybody may do anything."""
    caller: Caller = call.scope["state"].get("caller", ANYBODY)
    return caller
