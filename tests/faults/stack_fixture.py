"""A test's view of a running stack: calls of the API, stored tasks, the simulator's counts, and faults of processes."""

import asyncio
import os
import signal
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pymongo import MongoClient
from pymongo.collection import Collection as Documents
from redis import Redis

from cli.embedded.processes import ChildProcess
from cli.embedded.stack import Stack
from core.task_states import State
from core.tasks import Task
from polyrelay.client import Client
from repositories.mongodb.task_documents import WITHOUT_INPUT, task_of
from simulator.control import Stats
from simulator.ledger import PromptCount
from simulator.process import ControlClient
from tests.faults.waiting import wait_until

T = TypeVar("T")

LEASE_S = 3.0
RECONCILE_S = 1.0

QUICK = {
    "LEASE_S": f"{LEASE_S:g}s",
    "RECONCILE_S": f"{RECONCILE_S:g}s",
    "POLL_SCALE": "0.05",
    "SHUTDOWN_GRACE_S": "10s",
    "AI_TIMEOUT": "60s",
}
"""Settings with which tasks recover within seconds."""

IMAGE = {"task_type": "image", "provider": "openai", "model": "dall-e-3"}
"""A synchronous model: the response to the submit has the result. `openai.images` at the simulator."""
VIDEO = {"task_type": "video", "provider": "openai", "model": "sora"}
"""An asynchronous model: the response to the submit has an operation. `openai.videos`, `openai.video.query`."""
TEXT = {"task_type": "text", "provider": "openai", "model": "gpt-4"}

_LINES_SHOWN = 12


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop of its own, since pytest-asyncio manages the thread's; returns its result."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


class RunningStack:
    """
    One test's view of a running stack.

    Attributes:
        stack: The processes.
        client: A client of the API.
        simulator: Control of the simulated vendor: faults and counts.
        redis: A connection to the stack's Valkey.
        ready_urls: The URLs of `/ready` of the API and of each worker, by process name.
    """

    def __init__(self, stack: Stack, worker_ports: Mapping[str, int]) -> None:
        self.stack = stack
        self.ready_urls = {"api": f"{stack.api_url}/ready"}
        self.ready_urls |= {name: f"http://127.0.0.1:{port}/ready" for name, port in worker_ports.items()}
        self.client = Client(stack.api_url)
        self.simulator = ControlClient(stack.simulator_url or "")
        self.redis = Redis.from_url(stack.redis_url)
        self._mongo: MongoClient[dict[str, Any]] = MongoClient(stack.mongo_url, tz_aware=True)
        self._paused: set[str] = set()

    @property
    def documents(self) -> Documents[dict[str, Any]]:
        """The collection of stored tasks."""
        return self._mongo.get_default_database()["tasks"]

    def begin(self) -> None:
        """Start what does not run, and delete all tasks, keys, faults and counts of earlier tests."""
        run(self.stack.start())
        self.documents.delete_many({})
        self.redis.flushall()
        self.simulator.reset()

    def end(self) -> None:
        """Resume paused processes and close all connections; the next `begin` starts stopped processes."""
        for name in list(self._paused):
            self.resume(name)
        for connection in (self.client, self.simulator, self.redis, self._mongo):
            connection.close()

    # Calls of the API

    def create(self, prompt: str, *, kind: dict[str, str] = IMAGE, **fields: Any) -> str:
        """Create a task; returns its id. Raises as `Client.create`."""
        body = {**kind, "user_id": "cat", "prompt": prompt, **fields}
        return self.client.create(body.pop("task_type"), **body).task_id

    def create_all(self, prompts: Iterable[str], *, kind: dict[str, str] = IMAGE, **fields: Any) -> list[str]:
        """Create a task for each prompt, up to 8 at once; returns their ids in order."""
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda prompt: self.create(prompt, kind=kind, **fields), prompts))

    def post(self, prompt: str, *, kind: dict[str, str] = IMAGE, timeout_s: float = 30.0) -> httpx.Response:
        """The HTTP response to a create."""
        fields = {**kind, "user_id": "cat", "prompt": prompt}
        path = f"{self.stack.api_url}/api/v1/ai/{fields.pop('task_type')}/task"
        return httpx.post(path, json=fields, timeout=timeout_s, trust_env=False)

    def readiness(self) -> dict[str, int | None]:
        """The HTTP status of `/ready` of the API and each worker, or None without a response."""
        with ThreadPoolExecutor(len(self.ready_urls)) as pool:
            return dict(zip(self.ready_urls, pool.map(_status_of, self.ready_urls.values()), strict=True))

    # Stored tasks

    def task(self, task_id: str) -> Task:
        """The stored task."""
        document = self.documents.find_one({"_id": task_id}, WITHOUT_INPUT)
        assert document is not None, f"{task_id} is not stored"
        return task_of(document)

    def tasks(self) -> list[Task]:
        """All stored tasks, oldest first."""
        return [task_of(document) for document in self.documents.find({}, WITHOUT_INPUT).sort("_id")]

    def count(self, *states: State) -> int:
        """The number of stored tasks in any of those states."""
        return self.documents.count_documents({"state": {"$in": [state.value for state in states]}})

    # The simulated vendor

    def stats(self) -> Stats:
        """The simulator's counts."""
        return self.simulator.stats()

    def submits(self, prompt: str) -> PromptCount:
        """The submits of that prompt: received, and accepted, which a vendor would bill."""
        return self.stats().prompts.get(prompt, PromptCount())

    # Waiting

    def wait_until(self, predicate: Callable[[], T], *, description: str, within_s: float = 20.0) -> T:
        """As `waiting.wait_until`; a failure shows `summary`."""
        return wait_until(predicate, description=description, within_s=within_s, summary=self.summary)

    def wait_for_state(self, task_id: str, *states: State, within_s: float = 20.0) -> Task:
        """The task once it is in one of those states."""
        self.wait_until(
            lambda: self.task(task_id).state in states,
            description=f"{task_id} is {' or '.join(states)}",
            within_s=within_s,
        )
        return self.task(task_id)

    def wait_for_end(self, task_ids: Collection[str], *, within_s: float = 30.0) -> list[Task]:
        """The tasks once all of them are final, in the order of their ids in the argument."""
        wanted = {"_id": {"$in": list(task_ids)}, "state": {"$in": [state.value for state in State if state.final]}}
        self.wait_until(
            lambda: self.documents.count_documents(wanted) == len(task_ids),
            description=f"all {len(task_ids)} tasks ended",
            within_s=within_s,
        )
        return [self.task(task_id) for task_id in task_ids]

    def wait_for_call(self, kind: str, *, times: int = 1, within_s: float = 20.0) -> None:
        """Return once the simulator has received that many calls of a kind, such as `openai.images`."""
        self.wait_until(
            lambda: self.stats().received.get(kind, 0) >= times,
            description=f"{times} calls {kind} reached the vendor",
            within_s=within_s,
        )

    # Faults of processes

    def kill(self, *names: str) -> None:
        """End processes with SIGKILL."""
        for name in names:
            run(self.stack[name].kill())
            self._paused.discard(name)

    def terminate(self, name: str) -> None:
        """Send SIGTERM without waiting for the end."""
        pid = self.stack[name].pid
        assert pid is not None, f"{name} does not run"
        os.kill(pid, signal.SIGTERM)

    def start(self, *names: str) -> None:
        """Start processes and wait until they are ready."""
        for name in names:
            run(self.stack[name].start())

    def pause(self, name: str) -> None:
        """Send SIGSTOP and wait until all threads have stopped: connections stay open, nothing is answered."""
        self._paused.add(name)
        self._signal(name, signal.SIGSTOP)
        threads = Path(f"/proc/{self.stack[name].pid}/task")
        wait_until(lambda: all(map(_stopped, threads.glob("*/stat"))), description=f"{name} is paused")

    def resume(self, name: str) -> None:
        """Send SIGCONT, if the process exists."""
        if self.stack[name].pid is not None:
            self._signal(name, signal.SIGCONT)
        self._paused.discard(name)

    @contextmanager
    def paused(self, *names: str) -> Iterator[None]:
        """Pause the processes during the block."""
        for name in names:
            self.pause(name)
        try:
            yield
        finally:
            for name in names:
                self.resume(name)

    @contextmanager
    def unavailable(self, name: str, *, silent: bool) -> Iterator[None]:
        """Make a server unavailable during the block: it refuses connections or, if `silent`, does not answer."""
        if silent:
            with self.paused(name):
                yield
        else:
            self.kill(name)
            yield
            self.start(name)

    def worker_of(self, task_id: str) -> str:
        """The name of the worker that holds the task's lease, such as "worker-1"."""
        lease = self.task(task_id).lease
        assert lease is not None, f"{task_id} has no lease"
        return next(name for name in self.stack.workers if f"-{self.stack[name].pid}-" in lease.owner)

    def process(self, name: str) -> ChildProcess:
        """The process of the API or of a worker, with its exit code and output."""
        process = self.stack[name]
        assert isinstance(process, ChildProcess)
        return process

    def _signal(self, name: str, number: signal.Signals) -> None:
        pid = self.stack[name].pid
        assert pid is not None, f"{name} does not run"
        os.killpg(pid, number)

    # Messages of failed tests

    def summary(self) -> str:
        """The stored tasks, the simulator's counts and the last lines of every log."""
        parts = [_section("stored tasks", self._stored_tasks), _section("vendor", self._vendor)]
        parts += [_section(name, partial(self._log, name)) for name in ("api", *self.stack.workers)]
        return "\n".join(parts)

    def _log(self, name: str) -> str:
        return self.process(name).last_lines(_LINES_SHOWN)

    def _stored_tasks(self) -> str:
        if "mongo" in self._paused or not self.stack["mongo"].running:
            return "MongoDB does not answer"
        tasks = self.tasks()
        open_tasks = [task for task in tasks if not task.state.final]
        shown = (open_tasks or tasks)[:10]
        return f"{len(tasks)} tasks, {len(open_tasks)} open\n" + "\n".join(map(repr, shown))

    def _vendor(self) -> str:
        stats = self.stats()
        return f"received {stats.received}, accepted {stats.accepted}, refused {stats.refused}, open {stats.open}"


def _stopped(stat: Path) -> bool:
    """Whether the thread is stopped by a signal or has ended."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "T"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _status_of(url: str) -> int | None:
    try:
        return httpx.get(url, timeout=10, trust_env=False).status_code
    except httpx.TransportError:
        return None


def _section(title: str, content: Callable[[], str]) -> str:
    try:
        text = content()
    except Exception as error:  # a failing summary must not hide the test's failure
        text = repr(error)
    return f"--- {title}\n{text}"
