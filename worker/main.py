"""The worker process: runs until a signal, the memory limit or a broken part stops it."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Final

import structlog

from core.gc_tuning import tune_garbage_collector
from core.logs import set_up_logs
from core.settings import Settings
from services.runtime.control_sync import this_process
from worker.composition import WorkerParts, composed
from worker.health import serve_health
from worker.memory_limit import RssLimit
from worker.periodic import ExclusiveJobs, every
from worker.task_cancellation import cancelled

log = structlog.get_logger(__name__)

MEMORY_EXIT: Final = 75
"""Exit code of a worker that stopped because of its memory; its supervisor starts it again."""
_MEMORY_CHECK_S: Final = 5.0


def run(settings: Settings) -> int:
    """
    Work until SIGTERM, SIGINT or the memory limit; then let running steps end within the grace period.

    Returns the exit code of the process: 0, or `MEMORY_EXIT`.

    Raises:
        ConfigurationError: A setting cannot be used.
        StoreUnavailable: MongoDB is unavailable at the start.
    """
    set_up_logs(settings, process="worker")
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_work(settings))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, if it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _work(settings: Settings) -> int:
    identity = this_process("worker")
    structlog.contextvars.bind_contextvars(worker=identity.id)
    async with composed(settings, identity) as parts:
        engine = parts.engine
        stop = _stop_signal()
        memory = RssLimit(limit_bytes=settings.worker_max_rss, stop=stop)
        background = [asyncio.create_task(work) for work in _background(settings, parts)]
        background.append(asyncio.create_task(every(_MEMORY_CHECK_S, memory.check)))
        tune_garbage_collector()
        log.info("worker_started", concurrency=settings.worker_concurrency)
        await _first_of(stop, background)
        log.info("worker_stopping", running=engine.running, grace_s=settings.shutdown_grace_s)
        cut_off = await engine.drain(grace_s=settings.shutdown_grace_s)
        broken = [work.exception() for work in background if work.done() and not work.cancelled()]
        await cancelled(background)
        log.info("worker_stopped", cut_off=cut_off)
        for error in filter(None, broken):
            raise error
    return MEMORY_EXIT if memory.exceeded else 0


async def _first_of(stop: asyncio.Event, background: Iterable["asyncio.Task[None]"]) -> None:
    """Wait until the worker is to stop, or until one part of it ended: a worker without that part must not go on."""
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([stopped, *background], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()


def _background(settings: Settings, parts: WorkerParts) -> Iterable[Coroutine[Any, Any, None]]:
    """
    What a worker does all the time.

    A job that one worker does for all is tried four times in a period of `RECONCILE_S` and done at most twice. So a
    lost wake is repaired within one period, even if the worker that did the job last has stopped.
    """
    period_s = settings.reconcile_s
    exclusive = ExclusiveJobs(parts.locks, for_s=period_s / 2)
    yield parts.engine.run()
    yield parts.control_sync.run()
    yield parts.watchdog.run()
    yield every(settings.lease_s / 3, parts.reconciler.renew)
    # The names are lock names in MongoDB. They stay as they are: workers of an older version use the same locks.
    yield every(period_s / 4, exclusive("reconcile", parts.reconciler.reconcile))
    yield every(period_s / 4, exclusive("heal_gates", parts.gate_reconciler.reconcile))
    yield every(period_s / 4, exclusive("heal_quotas", parts.quota_reconciler.reconcile))
    if settings.worker_port is not None:
        yield serve_health(parts.health, host=settings.worker_host, port=settings.worker_port)


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
