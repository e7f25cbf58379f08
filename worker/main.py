"""The worker process: composition root."""

import asyncio
import os
import random
import secrets
import signal
import socket
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, suppress
from typing import Final

import httpx
import structlog
from arq.connections import ArqRedis

from core.clock import utc_now
from core.logs import set_up_logs
from core.registry import load_registry
from core.settings import Settings
from repositories.mongo import MongoTaskRepository, connect_mongo
from repositories.queue import QUEUE_NAMES, connect_queue
from repositories.queue_claims import RedisClaims, wake_queue
from repositories.results import connect_results
from services.advance import Advance
from services.leases import Leases
from services.results import Results
from services.upkeep import Upkeep
from worker.engine import Engine, Step, arq_engine, claim_engine
from worker.periodic import every

_CANCEL_AGAIN_S: Final = 0.2

log = structlog.get_logger("polyrelay.worker")


def run(settings: Settings) -> None:
    """
    Work until SIGTERM or SIGINT, then end what runs within the grace period.

    Raises:
        ConfigurationError: A setting cannot be used.
        StoreUnavailable: MongoDB cannot be reached at the start.
    """
    set_up_logs(settings, process="worker")
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_work(settings))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _work(settings: Settings) -> None:
    owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    structlog.contextvars.bind_contextvars(worker=owner)
    async with AsyncExitStack() as closing:
        engine, upkeep = await _composed(settings, owner, closing)
        stop = _stop_signal()
        background = [
            asyncio.create_task(engine.run()),
            asyncio.create_task(every(settings.lease_s / 3, upkeep.renew)),
            asyncio.create_task(every(settings.reconcile_s, upkeep.reconcile)),
        ]
        log.info("worker_started", concurrency=settings.worker_concurrency)
        await stop.wait()
        log.info("worker_stopping", running=engine.running, grace_s=settings.shutdown_grace_s)
        cut_off = await engine.drain(grace_s=settings.shutdown_grace_s)
        await _end(background)
        log.info("worker_stopped", cut_off=cut_off)


async def _composed(settings: Settings, owner: str, closing: AsyncExitStack) -> tuple[Engine, Upkeep]:
    tasks = MongoTaskRepository(connect_mongo(settings.mongo_url))
    closing.push_async_callback(tasks.aclose)
    await tasks.prepare()
    redis = connect_queue(settings.redis_url)
    closing.push_async_callback(redis.aclose)
    queue = wake_queue(redis, settings.queue_engine)
    registry = load_registry(settings.env)
    closing.push_async_callback(registry.aclose)
    http = await closing.enter_async_context(httpx.AsyncClient(follow_redirects=True, timeout=httpx.Timeout(60.0)))
    results = Results(
        store=connect_results(settings.results_url), clock=utc_now, copies=settings.results == "copy", http=http
    )
    leases = Leases(owner)
    advance = Advance(
        tasks=tasks,
        queue=queue,
        registry=registry,
        results=results,
        clock=utc_now,
        dice=random.random,
        leases=leases,
        lease_s=settings.lease_s,
    )
    upkeep = Upkeep(
        tasks=tasks,
        queue=queue,
        clock=utc_now,
        leases=leases,
        lease_s=settings.lease_s,
        patience_s=settings.reconcile_s / 2,
    )
    return _engine(settings, redis, owner, advance), upkeep


def _engine(settings: Settings, redis: ArqRedis, owner: str, step: Step) -> Engine:
    concurrency, priorities = settings.worker_concurrency, settings.worker_priorities
    if settings.queue_engine == "arq":
        return arq_engine(redis, {each: QUEUE_NAMES[each] for each in priorities}, step, concurrency=concurrency)
    claims = RedisClaims(redis, worker=owner, priorities=priorities)
    return claim_engine(redis, claims, step, concurrency=concurrency)


async def _end(tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Cancel until they have ended: redis-py may swallow a cancel that meets the loss of its connection."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_CANCEL_AGAIN_S)


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
