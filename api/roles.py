"""
Who makes a request, as the handlers see it; and the words with which every handler says who may call it:

    @post("/image/task", opt={**APP, **SPENT_WITH_TASK})

A handler that says nothing is for admins.
"""

from collections.abc import Mapping
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.types import Scope

from core.callers import Caller, Role

Word = Mapping[str, Any]

PUBLIC: Final[Word] = {"access": None}
"""Anybody may call it."""
APP: Final[Word] = {"access": Role.APP}
"""Whoever has a key may. The handler sees to it that an app meets only what is its own."""
OPERATOR: Final[Word] = {"access": Role.OPERATOR}
ADMIN: Final[Word] = {"access": Role.ADMIN}

LINKED: Final[Word] = {"access": Role.APP, "linked": True}
"""As APP; and whoever has a signed link may, until it expires."""
SPENT_WITH_TASK: Final[Word] = {"replays": "with the task"}
"""
All that a signed call creates is a task, and the task keeps the signature: a second one is refused when it is stored.

Every other signed POST is refused when it comes a second time.
"""
HARMLESS_TWICE: Final[Word] = {"replays": "harmless"}
"""A POST that only asks, or does the same twice as once: its signature may come again."""

NOBODY: Final = Caller(role=Role.APP)
"""Who calls what anybody may call: sees nothing that is anybody's."""


def access_of(opt: Mapping[str, Any]) -> Role | None:
    """The role that a handler with those words asks for, or None where anybody may call it."""
    role: Role | None = opt.get("access", Role.ADMIN)
    return role


def caller_of(call: ASGIConnection) -> Caller:  # type: ignore[type-arg]
    """Who makes this request; where the server asks nobody, anybody may do anything."""
    return caller_in(call.scope)


def caller_in(scope: Scope) -> Caller:
    """As `caller_of`."""
    caller: Caller = scope["state"].get("caller", NOBODY)
    return caller
