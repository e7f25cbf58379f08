"""Runs a queue: its workers, its producer, and the records of its jobs."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct
from redis.asyncio import Redis

from benchmarks.bench import Bench
from benchmarks.peers.installing import NotInstalled, reason_in
from benchmarks.peers.queues import QUEUES, Commands, QueuePeer, commands_of
from benchmarks.turns import Contestant, Failed
from cli.embedded.processes import ChildProcess
from cli.embedded.readiness import runs
from cli.embedded.servers import ValkeyServer
from cli.embedded.start_errors import ServerNotStarted

_ROOT: Final = Path(__file__).resolve().parents[1]
_LONGEST_S: Final = 120.0


class Begun(Struct, frozen=True, kw_only=True):
    """A job that began: when it began and was requested, in nanoseconds since 1970, and in which process."""

    at_ns: int
    sent_ns: int
    pid: int


class QueueRun:
    """
    One queue on an empty server, with a folder of its own.

    Args:
        peer: The queue.
        commands: Its commands.
        folder: For logs and the records of jobs.
        redis_url: The server.
    """

    def __init__(self, peer: QueuePeer, commands: Commands, folder: Path, redis_url: str) -> None:
        self._peer = peer
        self._commands = commands
        self._folder = folder
        self._out = folder / "begun"
        self._out.mkdir(parents=True, exist_ok=True)
        self._redis_url = redis_url

    @contextlib.asynccontextmanager
    async def workers(self, count: int, *, name: str = "worker") -> AsyncIterator[Sequence[ChildProcess]]:
        """That number of worker processes, started at once and killed at the end; what they leave is deleted."""
        workers = [self._process(f"{name}-{number}", self._commands.worker) for number in range(count)]
        try:
            await asyncio.gather(*(worker.start() for worker in workers))
            yield workers
        finally:
            await asyncio.gather(*(worker.kill() for worker in workers))

    async def produce(self, *args: str, within_s: float = _LONGEST_S) -> None:
        """
        Run the producer to its end; see `programs.jobs.produce`.

        Raises:
            Failed: It failed, or took too long.
        """
        producer = self._process(f"producer-{args[0]}", [*self._commands.producer, *args])
        try:
            await producer.start()
            async with asyncio.timeout(within_s):
                while producer.running:  # noqa: ASYNC110  a process sets no event
                    await asyncio.sleep(0.02)
        except (ServerNotStarted, TimeoutError) as error:
            raise Failed(f"{' '.join(args)}: {str(error) or 'took too long'}; {reason_in(producer.output())}") from None
        finally:
            await producer.kill()
        if producer.exit_code:
            raise Failed(f"{' '.join(args)}: {reason_in(producer.output())}")

    def begun(self) -> Sequence[Begun]:
        """All jobs that have begun."""
        return [each for path in self._out.glob("*.begun") for each in _read(path)]

    def at_work(self) -> tuple[int, int]:
        """The number of processes in which jobs began, and how much they wrote. Cheap enough to be called often."""
        sizes = [size for path in self._out.glob("*.begun") if (size := path.stat().st_size)]
        return len(sizes), sum(sizes)

    async def until_begun(self, count: int, *, within_s: float) -> None:
        """
        Wait until that number of jobs has begun.

        Raises:
            Failed: They did not begin in time.
        """
        if not await self.begin(count, within_s=within_s):
            raise Failed(f"{len(self.begun())} of {count} jobs began within {within_s:g} s; {self._last_words()}")

    async def begin(self, count: int, *, within_s: float) -> bool:
        """Whether that number of jobs begins in time."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while len(self.begun()) < count:
            if loop.time() > until:
                return False
            await asyncio.sleep(0.05)
        return True

    def _process(self, name: str, command: Sequence[str]) -> ChildProcess:
        log_file = self._folder / f"{name}.log"
        return ChildProcess(
            name, command, env=self._environment(), log_file=log_file, ready=runs, cwd=self._commands.cwd
        )

    def _environment(self) -> Mapping[str, str]:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        own = {"BENCH_REDIS": self._redis_url, "BENCH_OUT": str(self._out), "PYTHONPATH": str(_ROOT)}
        return {**inherited, **own, **self._peer.env}

    def _last_words(self) -> str:
        logs = sorted(self._folder.glob("worker-*.log"))
        return " / ".join(reason_in(log.read_text(errors="replace")) for log in logs)


class Queues:
    """
    The compared queues, on one server.

    Attributes:
        contestants: All of them, ours first.
    """

    def __init__(
        self, folder: Path, server: ValkeyServer, found: Mapping[str, tuple[QueuePeer, Commands | str]]
    ) -> None:
        self._folder = folder
        self._server = server
        self._found = found

    @property
    def contestants(self) -> Sequence[Contestant]:
        """All queues; those that cannot be installed have the reason."""
        return [
            Contestant(name=name, setting=peer.setting, missing=commands if isinstance(commands, str) else None)
            for name, (peer, commands) in self._found.items()
        ]

    def peer(self, name: str) -> QueuePeer:
        """The description of that queue."""
        return self._found[name][0]

    async def clear(self) -> None:
        """Delete all data of the server."""
        async with Redis.from_url(self._server.url) as redis:
            await redis.flushall()

    @contextlib.asynccontextmanager
    async def run(self, name: str) -> AsyncIterator[QueueRun]:
        """
        Run that queue in a folder of its own. Other queues may run at the same time: their keys have other names.

        Raises:
            Failed: It is not installed, or did not start.
        """
        peer, commands = self._found[name]
        if isinstance(commands, str):
            raise Failed(commands)
        folder = Path(tempfile.mkdtemp(prefix="queue-", dir=self._folder))
        try:
            yield QueueRun(peer, commands, folder, self._server.url)
        except ServerNotStarted as error:
            raise Failed(reason_in(str(error))) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def queues(bench: Bench) -> AsyncIterator[Queues]:
    """All queues, installed if necessary, and a server for them."""
    found = {peer.name: (peer, await _commands(bench, peer)) for peer in QUEUES if bench.peers or peer.packages is None}
    server = ValkeyServer(bench.folder / "queues-valkey")
    await server.start()
    try:
        yield Queues(bench.folder, server, found)
    finally:
        await server.stop()


async def _commands(bench: Bench, peer: QueuePeer) -> Commands | str:
    try:
        return await commands_of(peer, say=bench.say)
    except NotInstalled as error:
        return f"not installed: {error}"


def _read(path: Path) -> Sequence[Begun]:
    """Read complete lines only: the last one may not be written completely."""
    lines = path.read_bytes().split(b"\n")[:-1]
    pid = int(path.stem)
    return [Begun(at_ns=int(at), sent_ns=int(sent), pid=pid) for at, sent in (line.split() for line in lines)]
