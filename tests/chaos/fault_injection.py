"""The agent of chaos: deals the blows of a plan to a running stack, and sees to it that what fell comes back."""

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
from tests.chaos.outages import Away
from tests.chaos.plan import Act, Blow

_PAUSE_S: Final = 0.2
_UNAVAILABLE_AT_ONCE: Final = 2
_LONGEST_START_S: Final = 120.0
_FREEZES: Final = frozenset({Act.FREEZE_WORKER, Act.FREEZE_VALKEY, Act.FREEZE_MONGO})
_LAST_LINES: Final = 12


class Happening(Struct, frozen=True, kw_only=True):
    """A line of the chaos log."""

    at: datetime
    what: str


class Havoc:
    """
    Breaks things.

    Args:
        stack: What is broken.
        http: For the simulator's faults.
        redis: What is flushed.

    Attributes:
        log: What was done.
        away: Which process was away, and when.
        deaths: Processes that ended without a blow.
    """

    def __init__(self, stack: Stack, http: httpx.AsyncClient, redis: Redis) -> None:
        self._stack = stack
        self._http = http
        self._redis = redis
        self._turn: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._down: dict[str, datetime] = {}
        self._task_quotas = asyncio.Semaphore(_UNAVAILABLE_AT_ONCE)
        self.unavailable: list[Away] = []
        self._over = 0.0
        self.log: list[Happening] = []
        self.deaths: list[str] = []

    async def deal(self, blows: Sequence[Blow]) -> None:
        """
        Deal all blows at their times; ends when everything runs again and the vendor is well.

        Few processes are away at once: a blow waits for others to come back, and is left out where all blows are over.
        """
        started = asyncio.get_running_loop().time()
        self._over = started + max((blow.at_s for blow in blows), default=0.0)
        async with asyncio.TaskGroup() as agents:
            for blow in blows:
                await asyncio.sleep(started + blow.at_s - asyncio.get_running_loop().time())
                agents.create_task(self._strike(blow))
        await self._http.delete(f"{self._stack.simulator_url}/_control/faults", timeout=30.0)
        self._note("all is well")

    async def watch(self) -> None:
        """Note what ends by itself, and start it again; until cancelled."""
        while True:
            for name, process in self._stack.processes.items():
                if name not in self._down and not process.running:
                    self.deaths.append(f"{name} ended by itself:\n{_tail(self._stack, name)}")
                    self._note(f"{name} ended by itself")
                    await self._start(name)
            await asyncio.sleep(_PAUSE_S)

    async def _strike(self, blow: Blow) -> None:
        if blow.act is Act.VENDOR:
            await self._spoil(blow)
        elif blow.act is Act.FLUSH:
            async with self._turn[blow.target]:
                with suppress(RedisError):
                    await self._redis.flushall()
                    self._note("flushed valkey")
        else:
            await self._fell(blow)

    async def _spoil(self, blow: Blow) -> None:
        assert blow.fault is not None
        content = msgspec.json.encode(blow.fault)
        (
            await self._http.post(f"{self._stack.simulator_url}/_control/faults", content=content, timeout=30.0)
        ).raise_for_status()
        self._note(f"vendor fault on {blow.fault.times} of {blow.fault.kind}: {blow.fault.fault}")

    async def _fell(self, blow: Blow) -> None:
        async with self._task_quotas, self._turn[blow.target]:
            if asyncio.get_running_loop().time() > self._over:
                return
            self._down[blow.target] = utc_now()
            await self._ends()[blow.act](blow.target)
            self._note(f"{blow.act.value} ({blow.target}), away for {blow.lasts_s:.1f} s")
            await asyncio.sleep(blow.lasts_s)
            await self._bring_back(blow)

    async def _bring_back(self, blow: Blow) -> None:
        if blow.act in _FREEZES:
            self._signal(blow.target, signal.SIGCONT)
            self._runs_again(blow.target)
        else:
            await self._start(blow.target)

    def _ends(self) -> Mapping[Act, Callable[[str], Awaitable[None]]]:
        return {
            Act.KILL_WORKER: self._kill,
            Act.KILL_API: self._kill,
            Act.KILL_VALKEY: self._kill,
            Act.KILL_MONGO: self._kill,
            Act.STOP_MONGO: self._stop,
            Act.EMPTY_VALKEY: self._empty,
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

    async def _empty(self, name: str) -> None:
        server = self._stack[name]
        await server.kill()
        if isinstance(server, EmbeddedServer):
            shutil.rmtree(server.data_dir / "appendonlydir", ignore_errors=True)

    async def _start(self, name: str) -> None:
        """
        Again and again, since a worker does not start while MongoDB is away.

        Raises:
            ServerNotStarted: It still does not after minutes.
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
                self._runs_again(name)
                return

    def _runs_again(self, name: str) -> None:
        self.unavailable.append(Away(name=name, since=self._down.pop(name), until=utc_now()))
        self._note(f"{name} runs again")

    def _note(self, what: str) -> None:
        self.log.append(Happening(at=utc_now(), what=what))


def _tail(stack: Stack, name: str) -> str:
    lines = stack[name].log_file.read_text(errors="replace").splitlines()
    return "\n".join(lines[-_LAST_LINES:])
