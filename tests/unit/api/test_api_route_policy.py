"""Route policies: every route states one, and a route without one is not served."""

from typing import Any

import pytest
from litestar import Litestar, WebSocket, get, websocket
from litestar.routes import HTTPRoute

from api.app import build_app
from api.route_policy import PUBLIC, RoutePolicy, RouteWithoutPolicy, check_policies, guarded_by, policy_of
from core.callers import Role
from core.settings import Settings
from tests.unit.api.api_fixture import ApiFixture


def test_every_route_states_a_policy(api: ApiFixture) -> None:
    """Each handler of each route of the application has a policy of its own; only OPTIONS has the framework's."""
    app = build_app(api.adapters(), Settings(auth="none"))
    handlers = [handler for route in app.routes if isinstance(route, HTTPRoute) for handler in route.route_handlers]

    assert len(handlers) > len(app.routes)
    assert [route.path for route in app.routes if not isinstance(route, HTTPRoute)] == []
    assert [
        str(handler)
        for handler in handlers
        if handler.http_methods != {"OPTIONS"} and not isinstance(handler.opt.get("policy"), RoutePolicy)
    ] == []


@get("/forgotten")
async def forgotten() -> str:
    """A route whose policy was forgotten."""
    return ""


@get("/misspelt", opt={"polices": PUBLIC})
async def misspelt() -> str:
    """A route whose policy has the wrong name."""
    return ""


@get("/untyped", opt={"policy": {"access": None}})
async def untyped() -> str:
    """A route whose policy is not a `RoutePolicy`."""
    return ""


@websocket("/socket")
async def socket(socket: WebSocket[Any, Any, Any]) -> None:
    """A WebSocket without a policy."""


@pytest.mark.parametrize("handler", [forgotten, misspelt, untyped, socket])
def test_a_route_without_a_policy_stops_the_start(
    api: ApiFixture, monkeypatch: pytest.MonkeyPatch, handler: Any
) -> None:
    """The application cannot be built with it, so it is never served."""
    monkeypatch.setattr("api.app.ROUTES", (handler,))

    with pytest.raises(RouteWithoutPolicy, match=next(iter(handler.paths))):
        build_app(api.adapters(), Settings(auth="none"))


def test_options_needs_no_policy() -> None:
    """The framework adds OPTIONS to each path; it only lists the path's methods."""

    @get("/served", opt=guarded_by(RoutePolicy(access=Role.ADMIN)))
    async def served() -> str:
        return ""

    app = Litestar([served], openapi_config=None)
    check_policies(app.routes)
    (route,) = app.routes

    assert isinstance(route, HTTPRoute)
    policies = {tuple(handler.http_methods): policy_of(handler) for handler in route.route_handlers}
    assert policies == {("GET",): RoutePolicy(access=Role.ADMIN), ("OPTIONS",): PUBLIC}
