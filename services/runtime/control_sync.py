"""Keeps one process in line with what the operator decided, and tells the others what it runs."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from msgspec import Struct, structs

from core.clock import Clock
from core.control import ControlStore, ProcessReport, Stall
from core.errors import StoreUnavailable
from core.switches import Controls
from services.runtime.live_registry import LiveRegistry

LOOK_S: Final = 0.75
"""How often a process looks for decisions, in seconds."""
TELL: Final = timedelta(seconds=10)
"""A process without news tells that it lives that often."""
ALIVE: Final = timedelta(seconds=35)
"""A process that told nothing for so long counts as gone."""

log = structlog.get_logger(__name__)


class Identity(Struct, frozen=True, kw_only=True):
    """Which process this is; `role` is "api" or "worker"."""

    id: str
    role: str
    host: str
    pid: int


def this_process(role: str) -> Identity:
    """This one; its id is unlike any other's, also after a restart."""
    host, pid = socket.gethostname(), os.getpid()
    return Identity(id=f"{host}-{pid}-{secrets.token_hex(4)}", role=role, host=host, pid=pid)


class ControlSync:
    """
    Follows the decisions.

    Args:
        room: Where they are kept.
        registry: Of this process.
        identity: This process.
        clock: Now.
        stalls: What blocked its event loop.

    Attributes:
        on_reload: Called when the plugins may have changed.
    """

    def __init__(
        self,
        task_quotas: ControlStore,
        registry: LiveRegistry,
        identity: Identity,
        clock: Clock,
        *,
        stalls: Callable[[], Sequence[Stall]] = tuple,
    ) -> None:
        self._task_quotas = task_quotas
        self._registry = registry
        self._identity = identity
        self._clock = clock
        self._stalls = stalls
        self.on_reload: Callable[[], None] = _nothing
        self._started = clock()
        self._controls = Controls()
        self._generation = 0
        self._reported: ProcessReport | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._unavailable = False

    async def begin(self) -> None:
        """
        Take over what was decided before this process began; its plugins are as they are installed now.

        Raises:
            StoreUnavailable: Nothing is known; the process must not serve.
        """
        self._follow(await self._task_quotas.read())
        self._generation = self._controls.generation
        await self._report()

    async def run(self) -> None:
        """Look for decisions until cancelled; while the database is away the latest ones hold."""
        try:
            while True:
                await asyncio.sleep(LOOK_S)
                try:
                    await self.look()
                except Exception:  # such as a decision that only a newer version understands
                    log.exception("control_sync_failed")
        finally:
            if self._reloading is not None:
                self._reloading.cancel()

    async def look(self) -> None:
        """Follow what was decided since the last look, and tell the others."""
        try:
            self._follow(await self._task_quotas.read())
            if self._controls.generation > self._generation and self._reloading is None:
                self._reloading = asyncio.create_task(self._reload(self._controls))
            await self._registry.close_unused()
            await self._report()
            self._unavailable = False
        except StoreUnavailable as error:
            if not self._unavailable:
                log.warning("control_state_unavailable", reason=str(error))
            self._unavailable = True

    async def end(self) -> None:
        """Tell that this process ends; made up for by time where the database is away."""
        with suppress(StoreUnavailable):
            await self._task_quotas.withdraw(self._identity.id)

    def _follow(self, controls: Controls) -> None:
        if controls.revision != self._controls.revision:
            self._registry.follow(controls)
        self._controls = controls

    async def _reload(self, controls: Controls) -> None:
        """In a task of its own: a plugin that hangs in its import must not keep the switches from being followed."""
        forced = [plugin for plugin, generation in controls.forced.items() if generation > self._generation]
        try:
            await self._registry.reload(forced=forced)
            self._generation = controls.generation
            self.on_reload()
            with suppress(StoreUnavailable):
                await self._report()
        except Exception:
            log.exception("reload_failed")
            await asyncio.sleep(LOOK_S)
        finally:
            self._reloading = None

    async def _report(self) -> None:
        report = ProcessReport(
            **structs.asdict(self._identity),
            started=self._started,
            seen=self._clock(),
            revision=self._controls.revision,
            generation=self._generation,
            plugins=self._registry.reports,
            stalls=tuple(self._stalls()),
        )
        if self._reported is None or _is_news(report, self._reported):
            await self._task_quotas.report(report)
            self._reported = report


def _is_news(report: ProcessReport, reported: ProcessReport) -> bool:
    return report.seen - reported.seen >= TELL or structs.replace(report, seen=reported.seen) != reported


async def alive(task_quotas: ControlStore, now: datetime) -> Sequence[ProcessReport]:
    """
    The processes of the server that live.

    Raises:
        StoreUnavailable: They cannot be asked for.
    """
    return await task_quotas.processes(since=now - ALIVE)


@asynccontextmanager
async def running(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """All of it runs while inside."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _nothing() -> None:
    """Nobody wants to know."""
