"""Embedded server process: started on loopback as a child of this process, with one owner of its data folder."""

import asyncio
import contextlib
import fcntl
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from cli.embedded.parent_death import ParentDeathSignal
from cli.embedded.ports import check_port, free_port
from cli.embedded.start_errors import DataFolderInUse, PortInUse, ServerNotStarted

_MOST_STARTS: Final = 3


class EmbeddedServer(ABC):
    """
    A server process that ends when this process ends: on Linux also when this process is killed.

    Start it from the main thread, because Linux watches the thread that starts it. It gets its own session, so the
    terminal's Ctrl-C reaches only us and we stop servers in the right order. `start` may be called again after `stop`.

    Attributes:
        folder_wait_s: Longest wait of a start for a folder in use, in seconds. A server needs a moment to end after
            its parent was killed.
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
        """URL for clients; valid after the start."""

    @property
    def pid(self) -> int | None:
        """The process id, or None if the process does not run."""
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def log_file(self) -> Path:
        """The file with the output of the server since its latest start."""
        return self.data_dir / f"{self.name.lower()}.log"

    async def start(self) -> None:
        """
        Start the server and wait until it serves clients. Does nothing if it runs already.

        Raises:
            DataFolderInUse: Another process uses the folder.
            PortInUse: The given port is in use.
            ServerNotStarted: No program was found, or the server ended or did not answer in time.
        """
        for last in [False] * (_MOST_STARTS - 1) + [True]:
            if self.running:
                return
            try:
                await self._start_once()
            except PortInUse:
                if last or not self._choose_port:
                    raise

    async def stop(self, *, grace_s: float = 10.0) -> None:
        """Send SIGTERM, and SIGKILL if it still runs after `grace_s` seconds. Does nothing if it does not run."""
        if self._process is None:
            return
        self._process.terminate()
        if not await _has_ended(self._process, grace_s):
            await self.kill()
        self._process = None

    async def kill(self) -> None:
        """Send SIGKILL, as a crash."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            self._process = None

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """The command line, for the current port."""

    @abstractmethod
    async def _answers(self) -> bool:
        """Whether the server serves clients."""

    async def _start_once(self) -> None:
        self.port = free_port() if self._choose_port else self.port
        check_port(self.name, self.port)
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
        # The child inherits the lock and holds it until it ends, even if this process ends first.
        with _lock(self.data_dir / "in-use", self.name) as lock, self.log_file.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock.fileno(),),
                preexec_fn=ParentDeathSignal(),  # noqa: PLW1509
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
            return PortInUse(f"port {self.port} is in use; choose another port for {self.name}")
        last = "\n".join(log.splitlines()[-5:])
        return ServerNotStarted(f"{self.name} ended while it started; see {self.log_file}:\n{last}")


@contextlib.contextmanager
def _lock(path: Path, server: str) -> Iterator[IO[bytes]]:
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataFolderInUse(f"{path.parent} is in use by another running {server}") from error
        yield lock


async def _has_ended(process: "subprocess.Popen[bytes]", within_s: float) -> bool:
    try:
        await asyncio.to_thread(process.wait, within_s)
    except subprocess.TimeoutExpired:
        return False
    return True
