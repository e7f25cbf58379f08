"""Control sync: one process follows the operator's switches and reloads, and reports what it runs to the others."""

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

READ_EVERY_S: Final = 0.75
"""How often a process reads the control state, in seconds."""
REPORT_EVERY: Final = timedelta(seconds=10)
"""How often a process reports if nothing changed."""
ALIVE: Final = timedelta(seconds=35)
"""A process whose latest report is older counts as stopped."""

log = structlog.get_logger(__name__)


class Identity(Struct, frozen=True, kw_only=True):
    """The identity of a process; `role` is "api" or "worker"."""

    id: str
    role: str
    host: str
    pid: int


def this_process(role: str) -> Identity:
    """The identity of this process; no other process has its id, not even after a restart."""
    host, pid = socket.gethostname(), os.getpid()
    return Identity(id=f"{host}-{pid}-{secrets.token_hex(4)}", role=role, host=host, pid=pid)


class ControlSync:
    """
    Follows the control state that all processes share.

    Args:
        control: The shared control state.
        registry: The registry of this process.
        identity: This process.
        clock: Now.
        stalls: What blocked the event loop of this process.

    Attributes:
        on_reload: Called when the plugins may have changed.
    """

    def __init__(
        self,
        control: ControlStore,
        registry: LiveRegistry,
        identity: Identity,
        clock: Clock,
        *,
        stalls: Callable[[], Sequence[Stall]] = tuple,
    ) -> None:
        self._control = control
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
        Apply what was decided before this process started; its plugins are those that are installed now.

        Raises:
            StoreUnavailable: The control state is unknown; the process must not serve.
        """
        self._follow(await self._control.read())
        self._generation = self._controls.generation
        await self._report()

    async def run(self) -> None:
        """Read the control state every `READ_EVERY_S`; while MongoDB is unavailable, the latest state holds."""
        try:
            while True:
                await asyncio.sleep(READ_EVERY_S)
                try:
                    await self.sync()
                except Exception:  # such as a state that only a newer version can read
                    log.exception("control_sync_failed")
        finally:
            if self._reloading is not None:
                self._reloading.cancel()

    async def sync(self) -> None:
        """Apply what was decided since the last call, close unused providers, and report."""
        try:
            self._follow(await self._control.read())
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
        """Withdraw the report of this process. If MongoDB is unavailable, the report counts no longer after `ALIVE`."""
        with suppress(StoreUnavailable):
            await self._control.withdraw(self._identity.id)

    def _follow(self, controls: Controls) -> None:
        if controls.revision != self._controls.revision:
            self._registry.follow(controls)
        self._controls = controls

    async def _reload(self, controls: Controls) -> None:
        """Runs in a task of its own: a plugin that hangs during its import must not delay the switches."""
        forced = [plugin for plugin, generation in controls.forced.items() if generation > self._generation]
        try:
            await self._registry.reload(forced=forced)
            self._generation = controls.generation
            self.on_reload()
            with suppress(StoreUnavailable):
                await self._report()
        except Exception:
            log.exception("reload_failed")
            await asyncio.sleep(READ_EVERY_S)
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
            await self._control.report(report)
            self._reported = report


def _is_news(report: ProcessReport, reported: ProcessReport) -> bool:
    return report.seen - reported.seen >= REPORT_EVERY or structs.replace(report, seen=reported.seen) != reported


async def alive(control: ControlStore, now: datetime) -> Sequence[ProcessReport]:
    """
    The latest reports of the processes that are running.

    Raises:
        StoreUnavailable: MongoDB is unavailable.
    """
    return await control.processes(since=now - ALIVE)


@asynccontextmanager
async def running(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run these coroutines until the block ends."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _nothing() -> None:
    """The default of `on_reload`."""
