"""The worker process: composition root."""

import asyncio
import os
import random
import signal
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import Any, Final

import httpx
import structlog
from arq.connections import ArqRedis
from litestar import Litestar
from msgspec import Struct

from core.clock import utc_now
from core.gc_tuning import tune_garbage_collector
from core.locks import Locks
from core.logs import set_up_logs
from core.plugins import load_plugins
from core.redaction import redaction
from core.settings import Settings, secrets_of
from core.tasks import Task
from repositories.mongodb.audit import MongoAuditLog
from repositories.mongodb.client import connect_mongo
from repositories.mongodb.control import MongoControlStore
from repositories.mongodb.locks import MongoLocks
from repositories.mongodb.tasks import MongoTaskRepository
from repositories.result_store import connect_results
from repositories.valkey.announcements import RedisAnnouncements
from repositories.valkey.claims import RedisClaims, wake_queue
from repositories.valkey.connection import QUEUE_NAMES, connect_queue
from repositories.valkey.gates import RedisGates
from repositories.valkey.quotas import RedisQuotas
from services.execution.leases import Leases
from services.execution.notifications import Notifications
from services.execution.reconciler import Reconciler
from services.execution.recorder import Recorder
from services.execution.result_copies import ResultCopier
from services.execution.results import Results
from services.execution.step import Advance
from services.execution.vendor_answers import Answers
from services.execution.vendor_audit import VendorCalls
from services.limits.admission import Admissions, Limits, Places, Turns
from services.limits.gate_reconciler import GateReconciler
from services.limits.quota_reconciler import QuotaReconciler
from services.runtime.control_sync import ControlSync, Identity, this_process
from services.runtime.live_registry import LiveRegistry
from services.runtime.loop_watchdog import Watchdog
from services.runtime.process_metrics import process_text, resident_bytes
from services.runtime.public_transport import PublicTransport, trusted
from worker.engine import Engine, Step, arq_engine, claim_engine
from worker.health import health_app, serve_health
from worker.memory_limit import Memory
from worker.metrics import WorkerMetrics
from worker.periodic import Once, every
from worker.task_cancellation import cancelled

log = structlog.get_logger(__name__)

MEMORY_EXIT: Final = 75
"""Exit code of a worker that stopped because of its memory; its supervisor starts it again."""
_MEMORY_LOOK_S: Final = 5.0


def run(settings: Settings) -> int:
    """
    Work until SIGTERM or SIGINT, or until the memory is too much, then end what runs within the grace period.

    Answers the exit code of the process: 0, or `MEMORY_EXIT`.

    Raises:
        ConfigurationError: A setting cannot be used.
        StoreUnavailable: MongoDB cannot be reached at the start.
    """
    set_up_logs(settings, process="worker")
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_work(settings))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _work(settings: Settings) -> int:
    identity = this_process("worker")
    structlog.contextvars.bind_contextvars(worker=identity.id)
    async with AsyncExitStack() as closing:
        parts = await _composed(settings, identity, closing)
        engine = parts.engine
        stop = _stop_signal()
        memory = Memory(limit_bytes=settings.worker_max_rss, stop=stop)
        background = [asyncio.create_task(work) for work in _background(settings, parts)]
        background.append(asyncio.create_task(every(_MEMORY_LOOK_S, memory.look)))
        tune_garbage_collector()
        log.info("worker_started", concurrency=settings.worker_concurrency)
        await _either(stop, background)
        log.info("worker_stopping", running=engine.running, grace_s=settings.shutdown_grace_s)
        cut_off = await engine.drain(grace_s=settings.shutdown_grace_s)
        broken = [work.exception() for work in background if work.done() and not work.cancelled()]
        await cancelled(background)
        log.info("worker_stopped", cut_off=cut_off)
        for error in filter(None, broken):
            raise error
    return MEMORY_EXIT if memory.exceeded else 0


async def _either(stop: asyncio.Event, background: Iterable["asyncio.Task[None]"]) -> None:
    """Wait until the worker is to stop, or until something that it does all the time broke: half a worker is none."""
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([stopped, *background], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()


class _Parts(Struct, frozen=True, kw_only=True):
    engine: Engine
    reconciler: Reconciler
    gate_reconciler: GateReconciler
    quota_reconciler: QuotaReconciler
    control_sync: ControlSync
    watchdog: Watchdog
    locks: Locks
    health: Litestar


def _background(settings: Settings, parts: _Parts) -> Iterable[Coroutine[Any, Any, None]]:
    """
    What a worker does all the time.

    What one worker does for all is tried four times in a period and done at most twice, so that even with the worker
    that did it last gone, a lost wake is repaired within one period.
    """
    period_s = settings.reconcile_s
    once = Once(parts.locks, for_s=period_s / 2)
    yield parts.engine.run()
    yield parts.control_sync.run()
    yield parts.watchdog.run()
    yield every(settings.lease_s / 3, parts.reconciler.renew)
    yield every(period_s / 4, once("reconcile", parts.reconciler.reconcile))
    yield every(period_s / 4, once("heal_gates", parts.gate_reconciler.reconcile))
    yield every(period_s / 4, once("heal_quotas", parts.quota_reconciler.reconcile))
    if settings.worker_port is not None:
        yield serve_health(parts.health, host=settings.worker_host, port=settings.worker_port)


async def _composed(settings: Settings, identity: Identity, closing: AsyncExitStack) -> _Parts:
    database = connect_mongo(settings.mongo_url)
    tasks = MongoTaskRepository(database)
    closing.push_async_callback(tasks.aclose)
    await tasks.prepare()
    redis = connect_queue(settings.redis_url)
    closing.push_async_callback(redis.aclose)
    queue = wake_queue(redis, settings.queue_engine)
    control = MongoControlStore(database)
    await control.prepare()
    audit = MongoAuditLog(database, kept=timedelta(days=settings.audit_keep_days))
    closing.push_async_callback(audit.aclose)
    await audit.prepare()
    registry = LiveRegistry(load_plugins(settings.env), settings.env)
    closing.push_async_callback(registry.aclose)
    watchdog = Watchdog(registry.plugin_of, stall_s=settings.loop_stall_s, clock=utc_now)
    control_sync = ControlSync(control, registry, identity, utc_now, stalls=lambda: watchdog.stalls)
    await control_sync.begin()
    closing.push_async_callback(control_sync.end)
    http = await closing.enter_async_context(_link_reader(settings))
    gates = RedisGates(redis, clock=utc_now)
    turns = Turns(tasks, queue, utc_now)
    admissions = Admissions(gates, turns, _limits(settings))
    leases = Leases(identity.id)
    leases.distrust(until=utc_now() + timedelta(seconds=settings.lease_s / 2))  # the database may just have come back
    metrics = WorkerMetrics()
    notifications = Notifications(RedisAnnouncements(redis))

    def changed(task: Task) -> None:
        metrics.changed(task)
        notifications.changed(task)

    quotas = RedisQuotas(redis, clock=utc_now)
    recorder = Recorder(tasks, queue, quotas, on_change=changed)
    store = connect_results(settings.results_url)
    result_copier = ResultCopier(
        recorder=recorder,
        results=Results(store=store, clock=utc_now, copies=settings.results == "copy", http=http),
        clock=utc_now,
        random_source=random.random,
        leases=leases,
        lease_s=settings.lease_s,
    )
    advance = Advance(
        tasks=tasks,
        recorder=recorder,
        registry=registry,
        admissions=admissions,
        places=Places(gates, turns),
        result_copier=result_copier,
        calls=VendorCalls(audit, clock=utc_now, source=identity.id, redact=redaction(secrets_of(settings))),
        answers=Answers(store),
        clock=utc_now,
        random_source=random.random,
        leases=leases,
        lease_s=settings.lease_s,
    )
    reconciler = Reconciler(
        tasks=tasks,
        queue=queue,
        gates=gates,
        clock=utc_now,
        leases=leases,
        lease_s=settings.lease_s,
        patience_s=settings.reconcile_s / 8,
    )
    engine = _engine(settings, redis, identity.id, advance)
    pings = {"mongodb": tasks.ping, "queue": queue.ping, "results": store.ping}
    return _Parts(
        engine=engine,
        reconciler=reconciler,
        gate_reconciler=GateReconciler(tasks=tasks, gates=gates, admissions=admissions, turns=turns, registry=registry),
        quota_reconciler=QuotaReconciler(tasks, quotas, utc_now),
        control_sync=control_sync,
        watchdog=watchdog,
        locks=MongoLocks(database, clock=utc_now),
        health=health_app(
            pings,
            lambda: metrics.text(running=engine.running) + process_text(registry, watchdog.stalls, resident_bytes()),
        ),
    )


def _link_reader(settings: Settings) -> httpx.AsyncClient:
    """Fetches the links of vendors' answers, which may lead to the public internet and to the vendors that are set."""
    vendors = (settings.ark_base_url, settings.volcengine_visual_url, settings.openai_base_url)
    reach = PublicTransport(trusted(settings.private_result_hosts or (), vendors))
    return httpx.AsyncClient(transport=reach, follow_redirects=True, timeout=httpx.Timeout(60.0))


def _limits(settings: Settings) -> Limits:
    return Limits(
        providers=settings.upstream_max_concurrent or {},
        models=settings.model_max_concurrent or {},
        per_user=settings.user_max_concurrent,
        submit_interval_s=settings.upstream_submit_min_interval_s,
    )


def _engine(settings: Settings, redis: ArqRedis, owner: str, step: Step) -> Engine:
    concurrency, priorities = settings.worker_concurrency, settings.worker_priorities
    if settings.queue_engine == "arq":
        queues = {each: QUEUE_NAMES[each] for each in priorities}
        return arq_engine(redis, queues, step, concurrency=concurrency, lock_s=settings.lease_s)
    claims = RedisClaims(redis, worker=owner, priorities=priorities, lock_s=settings.lease_s)
    return claim_engine(redis, claims, step, concurrency=concurrency)


def _stop_signal() -> asyncio.Event:
    """Set by SIGTERM or SIGINT; a second signal ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            with suppress(ValueError):
                signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stop
