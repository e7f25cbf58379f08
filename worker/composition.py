"""Composition root of a worker: opens the adapters, builds what a worker runs, closes all in reverse order."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import httpx
from litestar import Litestar
from msgspec import Struct

from core.clock import utc_now
from core.locks import Locks
from core.plugins import load_plugins
from core.redaction import redaction
from core.retries import RetryPolicy
from core.settings import Settings, secrets_of
from repositories.stores import WorkerStores, worker_stores
from repositories.valkey.claims import RedisClaims
from repositories.valkey.connection import QUEUE_NAMES
from services.execution.attempt_failures import AttemptFailures
from services.execution.leases import Leases
from services.execution.link_copies import LinkCopies
from services.execution.notifications import Notifications
from services.execution.poll import PollStep
from services.execution.reconciler import Reconciler
from services.execution.recorder import Recorder
from services.execution.result_copies import ResultCopier
from services.execution.routing import Router
from services.execution.step import TaskStep
from services.execution.submit import SubmitStep
from services.execution.vendor_audit import VendorCalls
from services.execution.vendor_cancel import CancelStep
from services.limits.admission import Admissions, GateLimits, TaskWaker
from services.limits.gate_reconciler import GateReconciler
from services.limits.quota_reconciler import QuotaReconciler
from services.runtime.control_sync import ControlSync, Identity
from services.runtime.live_registry import LiveRegistry
from services.runtime.loop_watchdog import Watchdog
from services.runtime.process_metrics import process_text, resident_bytes
from services.runtime.public_transport import PublicTransport, trusted
from worker.engine import Engine, Step, arq_engine, claim_engine
from worker.health import health_app
from worker.metrics import WorkerMetrics


class WorkerParts(Struct, frozen=True, kw_only=True):
    """
    What a worker runs.

    Attributes:
        step: One step of one task, as the engine runs it.
    """

    step: Step
    engine: Engine
    reconciler: Reconciler
    gate_reconciler: GateReconciler
    quota_reconciler: QuotaReconciler
    control_sync: ControlSync
    watchdog: Watchdog
    locks: Locks
    health: Litestar


@asynccontextmanager
async def composed(settings: Settings, identity: Identity) -> AsyncIterator[WorkerParts]:
    """
    The parts of a worker, usable until the block ends.

    Then the links' client is closed, the process withdraws from the control state, the plugins are closed, and at last
    the adapters.

    Raises:
        ConfigurationError: A setting cannot be used.
        StoreUnavailable: MongoDB is unavailable.
    """
    async with AsyncExitStack() as closing:
        stores = worker_stores(settings)
        closing.push_async_callback(stores.aclose)
        await stores.prepare()
        registry = LiveRegistry(load_plugins(settings.env), settings.env)
        closing.push_async_callback(registry.aclose)
        watchdog = Watchdog(registry.plugin_of, stall_s=settings.loop_stall_s, clock=utc_now)
        control_sync = ControlSync(stores.control, registry, identity, utc_now, stalls=lambda: watchdog.stalls)
        await control_sync.begin()
        closing.push_async_callback(control_sync.end)
        http = await closing.enter_async_context(_link_reader(settings))
        yield _parts(settings, identity, stores, registry, watchdog, control_sync, http)


def _parts(
    settings: Settings,
    identity: Identity,
    stores: WorkerStores,
    registry: LiveRegistry,
    watchdog: Watchdog,
    control_sync: ControlSync,
    http: httpx.AsyncClient,
) -> WorkerParts:
    metrics = WorkerMetrics()
    leases = Leases(identity.id, lease_s=settings.lease_s)
    # The database may have been unavailable until now, so that other workers could not renew their leases.
    leases.distrust(until=utc_now() + timedelta(seconds=settings.lease_s / 2))
    waker = TaskWaker(stores.tasks, stores.queue, utc_now)
    admissions = Admissions(stores.gates, waker, _gate_limits(settings))
    step = _task_step(settings, identity, stores, registry, admissions, leases, metrics, http)
    engine = _engine(settings, stores, identity, step)
    return WorkerParts(
        step=step,
        engine=engine,
        reconciler=Reconciler(
            tasks=stores.tasks,
            queue=stores.queue,
            gates=stores.gates,
            clock=utc_now,
            leases=leases,
            patience_s=settings.reconcile_s / 8,
        ),
        gate_reconciler=GateReconciler(
            tasks=stores.tasks, gates=stores.gates, admissions=admissions, waker=waker, registry=registry
        ),
        quota_reconciler=QuotaReconciler(stores.tasks, stores.quotas, utc_now),
        control_sync=control_sync,
        watchdog=watchdog,
        locks=stores.locks,
        health=health_app(
            {"mongodb": stores.tasks.ping, "queue": stores.queue.ping, "results": stores.results.ping},
            lambda: metrics.text(running=engine.running) + process_text(registry, watchdog.stalls, resident_bytes()),
        ),
    )


def _task_step(
    settings: Settings,
    identity: Identity,
    stores: WorkerStores,
    registry: LiveRegistry,
    admissions: Admissions,
    leases: Leases,
    metrics: WorkerMetrics,
    http: httpx.AsyncClient,
) -> TaskStep:
    tasks = stores.tasks
    retries = RetryPolicy(clock=utc_now, random_source=random.random)
    recorder = Recorder(
        tasks,
        stores.queue,
        stores.quotas,
        on_change=metrics.changed,
        notifications=Notifications(stores.announcements),
    )
    router = Router(tasks, registry, admissions, utc_now)
    failures = AttemptFailures(recorder, admissions, retries)
    calls = VendorCalls(stores.audit, clock=utc_now, source=identity.id, redact=redaction(secrets_of(settings)))
    result_copier = ResultCopier(
        recorder=recorder,
        store=stores.results,
        links=LinkCopies(store=stores.results, http=http),
        copies=settings.results == "copy",
        retries=retries,
        leases=leases,
    )
    return TaskStep(
        tasks=tasks,
        recorder=recorder,
        admissions=admissions,
        submit=SubmitStep(
            router=router,
            recorder=recorder,
            calls=calls,
            result_copier=result_copier,
            failures=failures,
            leases=leases,
            retries=retries,
        ),
        poll=PollStep(
            tasks=tasks,
            router=router,
            admissions=admissions,
            calls=calls,
            recorder=recorder,
            result_copier=result_copier,
            failures=failures,
            retries=retries,
        ),
        cancel=CancelStep(
            tasks=tasks,
            registry=registry,
            router=router,
            calls=calls,
            recorder=recorder,
            admissions=admissions,
            clock=utc_now,
        ),
        result_copier=result_copier,
        leases=leases,
        clock=utc_now,
    )


def _link_reader(settings: Settings) -> httpx.AsyncClient:
    """Fetches links in vendors' responses: from public addresses, and from the vendors' hosts that are set."""
    transport = PublicTransport(trusted(settings.private_result_hosts or (), settings.base_urls))
    return httpx.AsyncClient(transport=transport, follow_redirects=True, timeout=httpx.Timeout(60.0))


def _gate_limits(settings: Settings) -> GateLimits:
    return GateLimits(
        providers=settings.upstream_max_concurrent or {},
        models=settings.model_max_concurrent or {},
        per_user=settings.user_max_concurrent,
        submit_interval_s=settings.upstream_submit_min_interval_s,
    )


def _engine(settings: Settings, stores: WorkerStores, identity: Identity, step: Step) -> Engine:
    redis, concurrency, priorities = stores.redis, settings.worker_concurrency, settings.worker_priorities
    if settings.queue_engine == "arq":
        queues = {each: QUEUE_NAMES[each] for each in priorities}
        return arq_engine(redis, queues, step, concurrency=concurrency, lock_s=settings.lease_s)
    claims = RedisClaims(redis, worker=identity.id, priorities=priorities, lock_s=settings.lease_s)
    return claim_engine(redis, claims, step, concurrency=concurrency)
