"""
Route policy: who may call a route, and what the guards do before its handler runs.

    @post("/task/{task_id:str}/retry", opt=guarded_by(RoutePolicy(access=Role.APP, audit=Action.TASK_RETRY)))

Every route states one. The application does not start with a route that has none.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final

from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import BaseRoute, HTTPRoute
from msgspec import Struct

from core.audit import Action
from core.callers import Role

_OPT: Final = "policy"


class RouteWithoutPolicy(Exception):
    """A route states no policy: a defect of the server."""


class SignatureReuse(Enum):
    """What happens when a signed POST arrives a second time with the same signature. Other methods may be repeated."""

    REFUSED = "refused"
    """The authentication guard stores the signature and refuses the second request."""
    REFUSED_WITH_TASK = "refused with the task"
    """The route creates a task, which stores the signature: storing a second one is refused."""
    ALLOWED = "allowed"
    """The route only reads, or repeating it changes nothing."""


class RoutePolicy(Struct, frozen=True, kw_only=True):
    """
    The options of a route.

    Attributes:
        access: The least role that may call the route; None for anybody, also without a key. A handler open to `app`
            limits what it shows to the caller's own tasks.
        audit: The action of the audit row that is written before the handler runs, or by the handler with a new task;
            None for a route that changes nothing. Reading methods are never audited.
        signature_reuse: What happens to a repeated signed POST.
        signed_link: Whether a signed link replaces the API key until it expires.
    """

    access: Role | None
    audit: Action | None = Action.OTHER
    signature_reuse: SignatureReuse = SignatureReuse.REFUSED
    signed_link: bool = False


def guarded_by(policy: RoutePolicy) -> dict[str, RoutePolicy]:
    """The `opt` of a route with that policy."""
    return {_OPT: policy}


def policy_of(handler: BaseRouteHandler) -> RoutePolicy:
    """
    The policy of a route's handler.

    Raises:
        RouteWithoutPolicy: It states none.
    """
    opt: Mapping[str, Any] = handler.opt
    policy = opt.get(_OPT)
    if isinstance(policy, RoutePolicy):
        return policy
    if isinstance(handler, HTTPRouteHandler) and handler.http_methods == {"OPTIONS"}:
        return METHODS  # made by the framework for every path
    raise RouteWithoutPolicy(f"{', '.join(sorted(handler.paths))} ({handler}) has no policy")


def check_policies(routes: Iterable[BaseRoute]) -> None:
    """
    Refuse to serve routes without a policy.

    Raises:
        RouteWithoutPolicy: Names the first such route.
    """
    for route in routes:
        handlers = route.route_handlers if isinstance(route, HTTPRoute) else [getattr(route, "route_handler", None)]
        for handler in handlers:
            if handler is None:
                raise RouteWithoutPolicy(f"{route.path} has no policy")
            policy_of(handler)


PUBLIC: Final = RoutePolicy(access=None, audit=None)
"""Anybody may call the route, also without a key; it changes nothing."""
METHODS: Final = PUBLIC
"""Of OPTIONS, which only lists the methods of a path."""
