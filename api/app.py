"""Composition root of the API: `create_app` on MongoDB and Valkey, `build_app` on any adapters."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, cast

import structlog
from litestar import Litestar
from litestar.datastructures import State
from litestar.types import LifeSpanReceive, LifeSpanSend, Receive, Scope, Send
from litestar.types.asgi_types import LifeSpanScope

from api.composition import guards_for, use_cases_on
from api.dependencies import Adapters
from api.middleware.request_log import RequestLog
from api.openapi.document import document
from api.problems import HANDLERS
from api.route_policy import check_policies
from api.routes.admin import Admin
from api.routes.audit import Audit
from api.routes.catalogue import Catalogue
from api.routes.docs import Docs
from api.routes.files import Files
from api.routes.health import health, metrics_text, ready
from api.routes.keys import KeyPages
from api.routes.relay import Relay
from api.routes.tasks import Tasks
from api.routes.users import UserPages
from core.bind_check import NO_KEY, is_loopback
from core.clock import utc_now
from core.errors import ConfigurationError, QueueUnavailable, StoreUnavailable
from core.logs import set_up_logs
from core.plugins import load_plugins
from core.settings import Settings, read_settings
from repositories.stores import ApiStores, api_stores
from services.runtime.control_sync import ControlSync, running, this_process
from services.runtime.live_registry import LiveRegistry
from services.runtime.loop_watchdog import Watchdog

ROUTES = (Tasks, Files, Relay, Catalogue, Admin, KeyPages, UserPages, Audit, Docs, health, ready, metrics_text)

log = structlog.get_logger(__name__)

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


class StartFailed(Exception):
    """The process cannot start; the text says why in one sentence."""


class Api(Litestar):
    """The application. If it cannot start for a known reason, it logs one sentence and no traceback."""

    async def __call__(
        self, scope: Scope | LifeSpanScope, receive: Receive | LifeSpanReceive, send: Send | LifeSpanSend
    ) -> None:
        """Handle one request, or start and stop the process."""
        if scope["type"] != "lifespan":
            await super().__call__(scope, receive, send)
            return
        try:
            await super().__call__(scope, receive, _without_traceback(send))
        except* StartFailed as group:
            log.critical("start_failed", reason="; ".join(map(str, group.exceptions)))


def create_app(settings: Settings | None = None) -> Litestar:
    """
    The application on MongoDB and Valkey. It connects when the server starts it.

    Args:
        settings: By default read from the environment and `.env`.

    Raises:
        ConfigurationError: A given setting cannot be used.
        SystemExit: A setting that was read here cannot be used; its text says which.
    """
    if settings is not None:
        return _create(settings)
    try:
        return _create(read_settings())
    except ConfigurationError as error:
        raise SystemExit(f"polyrelay api: {error}") from None


def build_app(adapters: Adapters, settings: Settings, *, lifespan: Sequence[Lifespan] = ()) -> Litestar:
    """
    The application on those adapters.

    Raises:
        ConfigurationError: A setting cannot be used.
        RouteWithoutPolicy: A route states no policy; such a route is never served.
    """
    use_cases = use_cases_on(adapters, settings)
    app = Api(
        ROUTES,
        guards=guards_for(use_cases, settings),
        exception_handlers=HANDLERS,
        request_max_body_size=settings.max_body_bytes,
        lifespan=list(lifespan),
        state=State({"use_cases": use_cases, "openapi": document(adapters.registry)}),
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    check_policies(app.routes)
    app.asgi_handler = RequestLog(app.asgi_handler, use_cases.metrics, adapters.audit)
    return app


def _create(settings: Settings) -> Litestar:
    set_up_logs(settings, process="api")
    stores = api_stores(settings)
    registry = LiveRegistry(load_plugins(settings.env), settings.env)
    watchdog = Watchdog(registry.plugin_of, stall_s=settings.loop_stall_s, clock=utc_now)
    identity = this_process("api")
    control_sync = ControlSync(stores.control, registry, identity, utc_now, stalls=lambda: watchdog.stalls)
    adapters = Adapters(
        tasks=stores.tasks,
        queue=stores.queue,
        results=stores.results,
        gates=stores.gates,
        quotas=stores.quotas,
        rates=stores.rates,
        announcements=stores.announcements,
        registry=registry,
        control=stores.control,
        audit=stores.audit,
        process=identity.id,
        keys=stores.keys,
        users=stores.users,
        used_signatures=stores.used_signatures,
        follow=control_sync.sync,
        stalls=lambda: watchdog.stalls,
    )

    @asynccontextmanager
    async def connected(app: Litestar) -> AsyncIterator[None]:
        control_sync.on_reload = lambda: _describe(app, registry)
        async with AsyncExitStack() as closing:  # runs them in reverse
            closing.push_async_callback(stores.aclose)
            closing.push_async_callback(registry.aclose)
            closing.push_async_callback(control_sync.end)
            await _prepare(stores, settings, control_sync)
            await _check_queue(adapters)
            async with running(control_sync.run(), watchdog.run(), stores.announcements.run()):
                yield

    return build_app(adapters, settings, lifespan=[connected])


def _describe(app: Litestar, registry: LiveRegistry) -> None:
    """Describe the models that are served now."""
    app.state.openapi = document(registry)


async def _prepare(stores: ApiStores, settings: Settings, control_sync: ControlSync) -> None:
    try:
        await stores.prepare()
        await control_sync.begin()
        if settings.auth == "required" and not is_loopback(settings.host) and not await stores.keys.after("", limit=1):
            raise StartFailed(NO_KEY)
    except StoreUnavailable as error:
        way_out = "Start MongoDB or correct MONGO_URL; `polyrelay dev` brings its own."
        raise StartFailed(f"{error}. {way_out}") from None


async def _check_queue(adapters: Adapters) -> None:
    """Warn if the queue is unavailable: tasks are still created, and workers find them once it is back."""
    try:
        await adapters.queue.ping()
    except QueueUnavailable as error:
        log.warning("queue_unavailable", setting="REDIS_URL", reason=str(error))


def _without_traceback(send: Any) -> LifeSpanSend:
    """Leave out the traceback that the framework reports with a failed start; the server would print it."""

    async def send_short(message: Any) -> None:
        if message["type"] == "lifespan.startup.failed" and StartFailed.__name__ in message.get("message", ""):
            message = {**message, "message": ""}
        await send(message)

    return cast(LifeSpanSend, send_short)
