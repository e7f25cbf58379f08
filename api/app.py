"""Composition root of the API: `create_app` for processes, `build_app` for adapters of any kind."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import structlog
from litestar import Litestar
from litestar.datastructures import State
from litestar.types import LifeSpanReceive, LifeSpanSend, Receive, Scope, Send
from litestar.types.asgi_types import LifeSpanScope

from api.dependencies import Adapters, UseCases
from api.metrics import Metrics
from api.middleware.audit import recorded
from api.middleware.authentication import Guard, everybody
from api.middleware.rate_limit import RateLimit
from api.middleware.request_log import Observed
from api.openapi.document import document
from api.problems import HANDLERS
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
from api.signed_links import Links
from core.bind_check import NO_KEY, is_loopback, vault_for
from core.callers import KeyLimits
from core.clock import utc_now
from core.errors import ConfigurationError, QueueUnavailable, StoreUnavailable
from core.logs import set_up_logs
from core.plugins import load_plugins
from core.redaction import redaction
from core.settings import Settings, read_settings, secrets_of
from core.vault import NO_ENCRYPTION_KEY, Vault
from repositories.mongodb.audit import MongoAuditLog
from repositories.mongodb.client import Database, connect_mongo
from repositories.mongodb.control import MongoControlStore
from repositories.mongodb.keys import MongoKeys
from repositories.mongodb.tasks import MongoTaskRepository
from repositories.mongodb.used_signatures import MongoUsedSignatures
from repositories.mongodb.users import MongoUsers
from repositories.result_store import connect_results
from repositories.valkey.announcements import RedisAnnouncements
from repositories.valkey.claims import wake_queue
from repositories.valkey.connection import connect_queue
from repositories.valkey.gates import RedisGates
from repositories.valkey.quotas import RedisQuotas
from repositories.valkey.rates import RedisRates
from services.access.api_keys import ApiKeys
from services.access.authentication import Authenticate
from services.access.key_cache import KeyCache
from services.access.users import UserDirectory
from services.execution.vendor_audit import VendorCalls
from services.limits.rate_limiter import RateLimiter
from services.limits.task_quotas import QuotaLimits, TaskQuotas
from services.relay.query import RelayQuery
from services.relay.submit import Patience, RelaySubmit
from services.runtime.control_sync import ControlSync, running, this_process
from services.runtime.live_registry import LiveRegistry
from services.runtime.loop_watchdog import Watchdog
from services.tasks.cancel import CancelTask
from services.tasks.create import CreateTask
from services.tasks.delete import DeleteTask
from services.tasks.idempotency import Once
from services.tasks.retry import RetryTask

log = structlog.get_logger(__name__)

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


class StartFailed(Exception):
    """The process cannot serve; the text is the one sentence that people need."""


class Api(Litestar):
    """The application; a start that fails for a known reason says so in one sentence, without a trace."""

    async def __call__(
        self, scope: Scope | LifeSpanScope, receive: Receive | LifeSpanReceive, send: Send | LifeSpanSend
    ) -> None:
        """Handle one request, or the process's life."""
        if scope["type"] != "lifespan":
            await super().__call__(scope, receive, send)
            return
        try:
            await super().__call__(scope, receive, _without_trace(send))
        except* StartFailed as group:
            log.critical("start_failed", reason="; ".join(map(str, group.exceptions)))


def create_app(settings: Settings | None = None) -> Litestar:
    """
    The application on the real adapters. Connections are made when the server starts it.

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
    """The application on those adapters."""
    metrics, vault = Metrics(), vault_for(settings)
    links = Links(vault.derived("links to files") if vault is not None and settings.auth == "required" else ())
    state = {
        "use_cases": _use_cases(adapters, settings, metrics, links=links, vault=vault),
        "max_body_bytes": settings.max_body_bytes,
        "request_timeout_s": settings.request_timeout_s,
        "openapi": document(adapters.registry),
    }
    app = Api(
        [Tasks, Files, Relay, Catalogue, Admin, KeyPages, UserPages, Audit, Docs, health, ready, metrics_text],
        # Who calls; whether they call too often; then what they do goes on the audit log.
        guards=[
            _guard(adapters, vault, links, metrics) if settings.auth == "required" else everybody,
            RateLimit(RateLimiter(adapters.rates, _key_limits(settings), adapters.clock)),
            recorded,
        ],
        exception_handlers=HANDLERS,
        request_max_body_size=settings.max_body_bytes,
        lifespan=list(lifespan),
        state=State(state),
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    app.asgi_handler = Observed(app.asgi_handler, metrics, adapters.audit)
    return app


def _guard(adapters: Adapters, vault: Vault | None, links: Links, metrics: Metrics) -> Guard:
    if vault is None:
        raise ConfigurationError(NO_ENCRYPTION_KEY)
    authenticate = Authenticate(KeyCache(adapters.keys), vault, adapters.clock)
    return Guard(
        authenticate, used_signatures=adapters.used_signatures, links=links, metrics=metrics, clock=adapters.clock
    )


def _use_cases(
    adapters: Adapters, settings: Settings, metrics: Metrics, *, links: Links, vault: Vault | None
) -> UseCases:
    tasks, queue, registry, clock = adapters.tasks, adapters.queue, adapters.registry, adapters.clock
    need_queue = None if settings.accept_without_queue else queue.ping
    task_quotas = TaskQuotas(adapters.quotas, tasks, _quota_limits(settings), need_queue=need_queue)
    create = CreateTask(tasks, queue, registry, clock, task_quotas)
    cancel = CancelTask(tasks=tasks, queue=queue, gates=adapters.gates, quotas=adapters.quotas, clock=clock)
    redact = redaction(secrets_of(settings))
    return UseCases(
        adapters=adapters,
        create=create,
        cancel=cancel,
        retry=RetryTask(tasks, queue, registry, clock, task_quotas),
        delete=DeleteTask(
            tasks=tasks,
            results=adapters.results,
            registry=registry,
            queue=queue,
            gates=adapters.gates,
            quotas=adapters.quotas,
            calls=VendorCalls(adapters.audit, clock=clock, source=adapters.process, redact=redact),
            used_signatures=adapters.used_signatures,
            clock=clock,
        ),
        once=Once(tasks, clock),
        relay_submit=RelaySubmit(
            tasks=tasks,
            create=create,
            registry=registry,
            announcements=adapters.announcements,
            cancel=cancel,
            store=adapters.results,
            patience=Patience(submit_s=settings.relay_patience_s, answer_s=settings.ai_timeout_s),
        ),
        relay_query=RelayQuery(tasks=tasks, registry=registry, store=adapters.results),
        metrics=metrics,
        public_url=settings.public_url,
        redact=redact,
        proxies=settings.trusted_proxies or (),
        links=links,
        api_keys=ApiKeys(adapters.keys, vault, clock),
        users=UserDirectory(adapters.users, clock),
    )


def _quota_limits(settings: Settings) -> QuotaLimits:
    return QuotaLimits(
        slots=settings.upstream_max_concurrent or {},
        queue=settings.upstream_max_queue,
        key=_key_limits(settings),
    )


def _key_limits(settings: Settings) -> KeyLimits:
    return KeyLimits(
        requests_per_minute=settings.key_requests_per_minute,
        max_concurrent=settings.key_max_concurrent,
        max_queue=settings.key_max_queue,
    )


def _create(settings: Settings) -> Litestar:
    set_up_logs(settings, process="api")
    database = connect_mongo(settings.mongo_url)
    tasks, control = MongoTaskRepository(database), MongoControlStore(database)
    audit = MongoAuditLog(database, kept=timedelta(days=settings.audit_keep_days))
    registry = LiveRegistry(load_plugins(settings.env), settings.env)
    watchdog = Watchdog(registry.plugin_of, stall_s=settings.loop_stall_s, clock=utc_now)
    identity = this_process("api")
    control_sync = ControlSync(control, registry, identity, utc_now, stalls=lambda: watchdog.stalls)
    redis = connect_queue(settings.redis_url)
    announcements = RedisAnnouncements(redis)
    adapters = Adapters(
        tasks=tasks,
        queue=wake_queue(redis, settings.queue_engine),
        results=connect_results(settings.results_url),
        gates=RedisGates(redis),
        quotas=RedisQuotas(redis),
        rates=RedisRates(redis),
        announcements=announcements,
        registry=registry,
        control=control,
        audit=audit,
        process=identity.id,
        keys=MongoKeys(database),
        users=MongoUsers(database),
        used_signatures=MongoUsedSignatures(database),
        follow=control_sync.look,
        stalls=lambda: watchdog.stalls,
    )

    @asynccontextmanager
    async def connected(app: Litestar) -> AsyncIterator[None]:
        control_sync.on_reload = lambda: _describe(app, registry)
        try:
            await _prepare(tasks, control, audit, control_sync)
            await _prepare_access(database, settings)
            await _look_at_queue(adapters)
            async with running(control_sync.run(), watchdog.run(), announcements.run()):
                yield
        finally:
            await control_sync.end()
            await registry.aclose()
            await redis.aclose()
            await audit.aclose()
            await tasks.aclose()

    return build_app(adapters, settings, lifespan=[connected])


def _describe(app: Litestar, registry: LiveRegistry) -> None:
    """The description of the models that there are now."""
    app.state.openapi = document(registry)


async def _prepare(
    tasks: MongoTaskRepository, control: MongoControlStore, audit: MongoAuditLog, control_sync: ControlSync
) -> None:
    try:
        await tasks.prepare()
        await control.prepare()
        await audit.prepare()
        await control_sync.begin()
    except StoreUnavailable as error:
        way_out = "Start MongoDB or correct MONGO_URL; `polyrelay dev` brings its own."
        raise StartFailed(f"{error}. {way_out}") from None


async def _prepare_access(database: Database, settings: Settings) -> None:
    keys = MongoKeys(database)
    try:
        for store in (keys, MongoUsers(database), MongoUsedSignatures(database)):
            await store.prepare()
        if settings.auth == "required" and not is_loopback(settings.host) and not await keys.after("", limit=1):
            raise StartFailed(NO_KEY)
    except StoreUnavailable as error:
        raise StartFailed(str(error)) from None


async def _look_at_queue(adapters: Adapters) -> None:
    """Without the queue tasks are still accepted; workers find them once it is back."""
    try:
        await adapters.queue.ping()
    except QueueUnavailable as error:
        log.warning("queue_unavailable", setting="REDIS_URL", reason=str(error))


def _without_trace(send: Any) -> LifeSpanSend:
    """The framework reports a failed start with its trace; the server would print it."""

    async def send_short(message: Any) -> None:
        if message["type"] == "lifespan.startup.failed" and StartFailed.__name__ in message.get("message", ""):
            message = {**message, "message": ""}
        await send(message)

    return cast(LifeSpanSend, send_short)
