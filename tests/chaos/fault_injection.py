"""Fault injection: applies the faults of a plan to a running stack and restores each process afterwards."""

import asyncio
import os
import shutil
import signal
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

import httpx
import msgspec
from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cli.embedded.server_process import EmbeddedServer
from cli.embedded.stack import Stack
from cli.embedded.start_errors import ServerNotStarted
from core.clock import utc_now
from tests.chaos.outages import ProcessOutage
from tests.chaos.plan import FaultType, PlannedFault

_PAUSE_S: Final = 0.2
_MAX_OUTAGES_AT_ONCE: Final = 2
_LONGEST_START_S: Final = 120.0
_FREEZES: Final = frozenset({FaultType.FREEZE_WORKER, FaultType.FREEZE_VALKEY, FaultType.FREEZE_MONGO})
_LAST_LINES: Final = 12


class ChaosEvent(Struct, frozen=True, kw_only=True):
    """An entry of the run's log: an injected fault, or a process that runs again."""

    at: datetime
    what: str


class FaultInjector:
    """
    Injects faults into a stack.

    Args:
        stack: The processes.
        http: Client for the simulator's control endpoint.
        redis: Client for FLUSHALL.

    Attributes:
        log: What was done, in order.
        process_outages: When each process was down or frozen.
        unexpected_exits: Processes that exited without an injected fault, with the end of their output.
    """

    def __init__(self, stack: Stack, http: httpx.AsyncClient, redis: Redis) -> None:
        self._stack = stack
        self._http = http
        self._redis = redis
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._down: dict[str, datetime] = {}
        self._outage_slots = asyncio.Semaphore(_MAX_OUTAGES_AT_ONCE)
        self.process_outages: list[ProcessOutage] = []
        self._last_at = 0.0
        self.log: list[ChaosEvent] = []
        self.unexpected_exits: list[str] = []

    async def inject(self, faults: Sequence[PlannedFault]) -> None:
        """
        Inject each fault at its time; returns when all processes run again and the vendor has no fault.

        At most `_MAX_OUTAGES_AT_ONCE` processes are down at once: a further fault waits, and is skipped after the time
        of the last planned fault.
        """
        started = asyncio.get_running_loop().time()
        self._last_at = started + max((fault.at_s for fault in faults), default=0.0)
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(started + fault.at_s - asyncio.get_running_loop().time())
                group.create_task(self._inject_one(fault))
        await self._http.delete(f"{self._stack.simulator_url}/_control/faults", timeout=30.0)
        self._note("all faults cleared")

    async def restart_exited(self) -> None:
        """Record processes that exit without an injected fault, and start them again; until cancelled."""
        while True:
            for name, process in self._stack.processes.items():
                if name not in self._down and not process.running:
                    self.unexpected_exits.append(f"{name} exited by itself:\n{_tail(self._stack, name)}")
                    self._note(f"{name} exited by itself")
                    await self._start(name)
            await asyncio.sleep(_PAUSE_S)

    async def _inject_one(self, fault: PlannedFault) -> None:
        if fault.type is FaultType.VENDOR:
            await self._add_vendor_fault(fault)
        elif fault.type is FaultType.FLUSH:
            async with self._locks[fault.target]:
                with suppress(RedisError):
                    await self._redis.flushall()
                    self._note("flushed valkey")
        else:
            await self._interrupt(fault)

    async def _add_vendor_fault(self, fault: PlannedFault) -> None:
        vendor_fault = fault.vendor_fault
        assert vendor_fault is not None
        content = msgspec.json.encode(vendor_fault)
        (
            await self._http.post(f"{self._stack.simulator_url}/_control/faults", content=content, timeout=30.0)
        ).raise_for_status()
        self._note(f"vendor fault on {vendor_fault.times} of {vendor_fault.kind}: {vendor_fault.fault}")

    async def _interrupt(self, fault: PlannedFault) -> None:
        async with self._outage_slots, self._locks[fault.target]:
            if asyncio.get_running_loop().time() > self._last_at:
                return
            self._down[fault.target] = utc_now()
            await self._actions()[fault.type](fault.target)
            self._note(f"{fault.type.value} ({fault.target}), down for {fault.outage_s:.1f} s")
            await asyncio.sleep(fault.outage_s)
            await self._restore(fault)

    async def _restore(self, fault: PlannedFault) -> None:
        if fault.type in _FREEZES:
            self._signal(fault.target, signal.SIGCONT)
            self._note_running(fault.target)
        else:
            await self._start(fault.target)

    def _actions(self) -> Mapping[FaultType, Callable[[str], Awaitable[None]]]:
        return {
            FaultType.KILL_WORKER: self._kill,
            FaultType.KILL_API: self._kill,
            FaultType.KILL_VALKEY: self._kill,
            FaultType.KILL_MONGO: self._kill,
            FaultType.STOP_MONGO: self._stop,
            FaultType.EMPTY_VALKEY: self._kill_and_empty,
            **dict.fromkeys(_FREEZES, self._freeze),
        }

    async def _kill(self, name: str) -> None:
        await self._stack[name].kill()

    async def _stop(self, name: str) -> None:
        await self._stack[name].stop()

    async def _freeze(self, name: str) -> None:
        self._signal(name, signal.SIGSTOP)

    def _signal(self, name: str, number: signal.Signals) -> None:
        pid = self._stack[name].pid
        if pid is not None:
            os.killpg(pid, number)

    async def _kill_and_empty(self, name: str) -> None:
        server = self._stack[name]
        await server.kill()
        if isinstance(server, EmbeddedServer):
            shutil.rmtree(server.data_dir / "appendonlydir", ignore_errors=True)

    async def _start(self, name: str) -> None:
        """
        Start a process; repeats, since a worker does not start while MongoDB is unavailable.

        Raises:
            ServerNotStarted: It did not start within `_LONGEST_START_S`.
        """
        self._down.setdefault(name, utc_now())
        until = asyncio.get_running_loop().time() + _LONGEST_START_S
        while True:
            try:
                await self._stack[name].start()
            except ServerNotStarted as error:
                if asyncio.get_running_loop().time() > until:
                    raise
                self._note(f"{name} did not start: {str(error).splitlines()[0]}")
                await asyncio.sleep(_PAUSE_S)
            else:
                self._note_running(name)
                return

    def _note_running(self, name: str) -> None:
        self.process_outages.append(ProcessOutage(name=name, since=self._down.pop(name), until=utc_now()))
        self._note(f"{name} runs again")

    def _note(self, what: str) -> None:
        self.log.append(ChaosEvent(at=utc_now(), what=what))


def _tail(stack: Stack, name: str) -> str:
    lines = stack[name].log_file.read_text(errors="replace").splitlines()
    return "\n".join(lines[-_LAST_LINES:])
