"""Stack: MongoDB, Valkey, the simulator, the API and workers on this machine, each in a process of its own."""

import asyncio
import importlib.util
import os
import signal
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from msgspec import Struct

from cli.embedded.ports import free_port
from cli.embedded.processes import ChildProcess, Process, Ready, own_environment, own_module
from cli.embedded.readiness import answers, prints, runs
from cli.embedded.servers import MongoServer, ValkeyServer
from cli.embedded.start_errors import ServerNotStarted
from cli.embedded.upstreams import VENDORS, Vendor, simulated
from core.bind_check import is_loopback

_SIMULATOR_PACKAGES: Final = ("PIL", "av")
_FOLDER_WAIT_S: Final = 20.0


class Inherited(Struct, frozen=True, kw_only=True):
    """
    What the processes of a stack inherit.

    Attributes:
        env: Environment variables; by default those of this process.
        cwd: Working directory of the API and the workers, which read `.env` there; by default the stack's folder.
    """

    env: Mapping[str, str] | None = None
    cwd: Path | None = None


class ExternalServers(Struct, frozen=True, kw_only=True):
    """
    Databases that run already. The stack starts an embedded server in place of each one that is None.

    Attributes:
        mongo_url: URL of a MongoDB.
        redis_url: URL of a Redis.
    """

    mongo_url: str | None = None
    redis_url: str | None = None


_THIS_PROCESS: Final = Inherited()
_ALL_EMBEDDED: Final = ExternalServers()


class Stack:
    """
    Starts, restarts and stops all processes of the product. Ports are chosen once and stay the same after a restart.

    The processes end when this one ends. Start it from the main thread. It keeps no event loop: each call may come
    from another one. `stack["worker-1"]` is one process, with `kill()`, `stop()` and `start()`.

    Args:
        folder: Holds the databases, the results and `logs/`.
        env: Settings for the API and the workers; they replace all others.
        worker_env: Settings of single workers by name, over `env`: what two cannot share, such as WORKER_PORT.
        workers: Number of worker processes; they are named worker-1, worker-2, ….
        address: Host and port on which the API listens; port 0 chooses a free one.
        vendors: The vendors that the simulator plays; without any the simulator is not started.
        simulator_args: Further arguments of the simulator.
        inherited: Environment and working directory of the processes.
        external: Databases to use in place of embedded ones.
    """

    def __init__(
        self,
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        worker_env: Mapping[str, Mapping[str, str]] | None = None,
        workers: int = 1,
        address: tuple[str, int] = ("127.0.0.1", 0),
        vendors: Iterable[Vendor] = VENDORS,
        simulator_args: Iterable[str] = (),
        inherited: Inherited = _THIS_PROCESS,
        external: ExternalServers = _ALL_EMBEDDED,
    ) -> None:
        self.folder = folder.resolve()
        self.host = address[0]
        self.port = address[1] or free_port()
        self.workers = tuple(f"worker-{number}" for number in range(1, workers + 1))
        self.processes: dict[str, Process] = {}
        self._wanted: set[str] = set()
        self._cwd = inherited.cwd or self.folder
        self._base_env = own_environment(os.environ if inherited.env is None else inherited.env)
        self._logs = self.folder / "logs"
        self._vendors = tuple(vendors)
        self.mongo_url = external.mongo_url or self._add_mongo()
        self.redis_url = external.redis_url or self._add_valkey()
        self.simulator_url = self._add_simulator(simulator_args) if self._vendors else None
        self._own_env = self._own_environment(env or {})
        self._add_own("api", "api", self._own_env, answers(f"{self.api_url}/ready"))
        logs_start = self._own_env.get("LOG_LEVEL", "info").lower() in {"info", "debug"}
        for name in self.workers:
            own_env = {**self._own_env, **(worker_env or {}).get(name, {})}
            self._add_own(name, "worker", own_env, prints("worker_started") if logs_start else runs)

    @property
    def api_url(self) -> str:
        """URL of the API."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 - only compared
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def __getitem__(self, name: str) -> Process:
        return self.processes[name]

    async def start(self) -> None:
        """
        Start all processes that do not run. If one does not start, the others are stopped again.

        Raises:
            ServerNotStarted: A process did not start; says which and why.
        """
        if self._vendors:
            _check_simulator()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._cwd.mkdir(parents=True, exist_ok=True)
        try:
            async with asyncio.TaskGroup() as starts:
                starts.create_task(self._start_in_order())
                starts.create_task(self._start_all("simulator"))
        except ExceptionGroup as failures:
            await self.stop(grace_s=2.0)
            raise failures.exceptions[0] from None
        except BaseException:
            await self.stop(grace_s=2.0)
            raise

    async def stop(self, *, grace_s: float = 10.0) -> None:
        """Stop all processes: first the API and the workers, then the simulator, then the servers."""
        self._wanted.clear()
        for names in (("api", *self.workers), ("simulator",), ("mongo", "valkey")):
            found = [self.processes[name] for name in names if name in self.processes]
            await asyncio.gather(*(process.stop(grace_s=grace_s) for process in found))

    def kill_now(self) -> None:
        """Kill all processes, for a second Ctrl-C."""
        for process in self.processes.values():
            if process.pid is not None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    async def restart(self, *names: str, grace_s: float = 10.0) -> None:
        """Stop the named processes and start them again."""
        self._wanted.difference_update(names)
        await asyncio.gather(*(self[name].stop(grace_s=grace_s) for name in names))
        await self._start_all(*names)

    def ended_process(self) -> Process | None:
        """A process that has ended by itself, or None."""
        return next((self[name] for name in sorted(self._wanted) if not self[name].running), None)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self.stop()

    async def _start_in_order(self) -> None:
        await self._start_all("mongo", "valkey")
        await self._start_all("api", *self.workers)

    async def _start_all(self, *wanted: str) -> None:
        """Start the named processes that exist, concurrently; the first failure cancels the other starts."""
        names = [name for name in wanted if name in self.processes]
        try:
            async with asyncio.TaskGroup() as starts:
                for name in names:
                    starts.create_task(self[name].start())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        self._wanted.update(names)

    def _add_mongo(self) -> str:
        server = MongoServer(self.folder / "mongo", port=free_port())
        server.folder_wait_s = _FOLDER_WAIT_S
        self.processes["mongo"] = server
        return server.url

    def _add_valkey(self) -> str:
        server = ValkeyServer(self.folder / "valkey", port=free_port())
        server.folder_wait_s = _FOLDER_WAIT_S
        self.processes["valkey"] = server
        return server.url

    def _add_simulator(self, args: Iterable[str]) -> str:
        port = free_port()
        self.processes["simulator"] = ChildProcess(
            "simulator",
            own_module("simulator", "--host", "127.0.0.1", "--port", str(port), *args),
            env=self._base_env,
            log_file=self._logs / "simulator.log",
            ready=prints(rf"http://127\.0\.0\.1:{port}"),
            cwd=self._cwd,
        )
        return f"http://127.0.0.1:{port}"

    def _add_own(self, name: str, command: str, env: Mapping[str, str], ready: Ready) -> None:
        self.processes[name] = ChildProcess(
            name,
            own_module("cli", command),
            env=env,
            log_file=self._logs / f"{name}.log",
            ready=ready,
            cwd=self._cwd,
        )

    def _own_environment(self, env: Mapping[str, str]) -> dict[str, str]:
        return {
            **self._base_env,
            **simulated(self._vendors, self.simulator_url or ""),
            "HOST": self.host,
            "PORT": str(self.port),
            "MONGO_URL": self.mongo_url,
            "REDIS_URL": self.redis_url,
            "RESULTS_URL": str(self.folder / "results"),
            **self._access(),
            "PRIVATE_RESULT_HOSTS": "127.0.0.0/8,::1",
            **env,
        }

    def _access(self) -> dict[str, str]:
        """AUTH=none on loopback, unless AUTH is set."""
        free = is_loopback(self.host) and not self._base_env.get("AUTH")
        return {"AUTH": "none"} if free else {}


def _check_simulator() -> None:
    """
    Check that the packages are installed that only the simulator needs.

    Raises:
        ServerNotStarted: A package is missing; names it.
    """
    missing = [name for name in _SIMULATOR_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ServerNotStarted(
            f"the simulator needs {' and '.join(missing)}: install the extra polyrelay[embedded], "
            "or set the keys of all vendors to call the real ones"
        )
