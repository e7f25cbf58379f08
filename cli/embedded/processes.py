"""Child processes of a stack: the API, a worker or the simulator; start, stop, kill and restart."""

import asyncio
import os
import re
import signal
import subprocess  # nosec: starts our own processes only
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from cli.embedded.parent_death import ParentDeathSignal
from cli.embedded.start_errors import ServerNotStarted

_ROOT: Final = Path(__file__).resolve().parents[2]
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_PAUSE_S: Final = 0.05

Ready: TypeAlias = Callable[["ChildProcess"], Awaitable[bool]]


class Process(Protocol):
    """A process of a stack: a `ChildProcess`, or a server such as `MongoServer`."""

    name: str

    @property
    def pid(self) -> int | None:
        """The process id, or None if the process does not run."""

    @property
    def running(self) -> bool:
        """Whether the process runs."""

    @property
    def log_file(self) -> Path:
        """The file with its output."""

    async def start(self) -> None:
        """Start it and wait until it is ready. Does nothing if it runs."""

    async def stop(self, *, grace_s: float = 10.0) -> None:
        """Send SIGTERM, and SIGKILL if it still runs after `grace_s` seconds."""

    async def kill(self) -> None:
        """Send SIGKILL, as a crash."""


def own_module(module: str, *args: str) -> Sequence[str]:
    """
    The command line that runs one of our modules with this interpreter.

    `-P` keeps the working directory out of the import path: a user's own `api` or `core` folder is not ours.
    """
    return (sys.executable, "-P", "-m", module, *args)


def own_environment(base: Mapping[str, str]) -> dict[str, str]:
    """The environment `base`, extended so that `own_module` finds our packages in a checkout that is not installed."""
    environment = {**base, "PYTHONUNBUFFERED": "1"}
    if _ROOT.name not in {"site-packages", "dist-packages"}:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_ROOT), base.get("PYTHONPATH"))))
    return environment


class ChildProcess:
    """
    A process that ends when this one ends. It gets its own session, so that the terminal's Ctrl-C reaches only us.

    Args:
        name: Shown before its output.
        command: Its command line.
        env: Its whole environment.
        log_file: Receives its output; a later start appends.
        ready: Returns whether the process is ready; called every 50 ms during the start.
        cwd: Its working directory, or None for that of this process.
        start_timeout_s: Longest wait until it is ready, in seconds.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        log_file: Path,
        ready: Ready,
        cwd: Path | None = None,
        start_timeout_s: float = 60.0,
    ) -> None:
        self.name = name
        self.log_file = log_file
        self._command = command
        self._env = env
        self._ready = ready
        self._cwd = cwd
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """The process id, or None if the process does not run."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Its exit code (negative: the signal that ended it), or None if it runs or was never started."""
        return None if self._process is None else self._process.poll()

    def output(self) -> str:
        """What it printed since its latest start, without colours."""
        with self.log_file.open("rb") as log:
            log.seek(self._log_start)
            return _COLOURS.sub("", log.read().decode(errors="replace"))

    def last_lines(self, count: int = 15) -> str:
        """The last `count` lines that it printed."""
        return "\n".join(self.output().splitlines()[-count:])

    async def start(self) -> None:
        """
        Start it and wait until it is ready. Does nothing if it runs already.

        Raises:
            ServerNotStarted: It ended, or was not ready in time; says which, with its last lines.
        """
        if self.running:
            return
        self._spawn()
        try:
            await self._wait_until_ready()
        except BaseException:
            await self.kill()
            raise

    async def stop(self, *, grace_s: float = 10.0) -> None:
        """Send SIGTERM, and SIGKILL if it still runs after `grace_s` seconds."""
        if self._process is None:
            return
        if self.running:
            self._process.terminate()
            await self._ended(grace_s)
        await self.kill()

    async def kill(self) -> None:
        """Send SIGKILL to the process and its children, as a crash."""
        if self._process is not None and self.running:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._ended(10.0)

    def _spawn(self) -> None:
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(  # noqa: S603
                self._command,
                cwd=self._cwd,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=ParentDeathSignal(),  # noqa: PLW1509
            )

    async def _wait_until_ready(self) -> None:
        until = time.monotonic() + self._start_timeout_s
        while not await self._ready(self):
            if not self.running:
                raise ServerNotStarted(f"{self.name} ended while it started:\n{self.last_lines()}")
            if time.monotonic() > until:
                raise ServerNotStarted(
                    f"{self.name} did not start within {self._start_timeout_s:g} s:\n{self.last_lines()}"
                )
            await asyncio.sleep(_PAUSE_S)

    async def _ended(self, within_s: float) -> None:
        until = time.monotonic() + within_s
        while self.running and time.monotonic() < until:  # noqa: ASYNC110 - a process sets no event
            await asyncio.sleep(0.01)
