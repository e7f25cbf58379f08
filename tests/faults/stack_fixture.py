"""What a scenario plays with: the whole product as processes, and what can be seen of it from outside."""

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
"""Settings under which things heal within seconds."""

IMAGE = {"task_type": "image", "provider": "openai", "model": "dall-e-3"}
"""Answers its submit with the result; `openai.images` at the simulator."""
VIDEO = {"task_type": "video", "provider": "openai", "model": "sora"}
"""Answers its submit with an operation; `openai.videos` and `openai.video.query` at the simulator."""
TEXT = {"task_type": "text", "provider": "openai", "model": "gpt-4"}

_LINES_SHOWN = 12


def run(work: Coroutine[Any, Any, T]) -> T:
    """The outcome of a coroutine, on a loop of its own; pytest-asyncio keeps the thread's."""
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
        client: An app's client of the API.
        simulator: The vendor's faults and counts.
        redis: The real one, for emptying and looking.
        ready_urls: Where the API and each worker tell whether they can work, by name.
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
        """The tasks as they are stored."""
        return self._mongo.get_default_database()["tasks"]

    def begin(self) -> None:
        """Everything runs, and nothing is left of former tests."""
        run(self.stack.start())
        self.documents.delete_many({})
        self.redis.flushall()
        self.simulator.reset()

    def end(self) -> None:
        """Let go of everything; what is stopped is started by the next `begin`."""
        for name in list(self._paused):
            self.resume(name)
        for connection in (self.client, self.simulator, self.redis, self._mongo):
            connection.close()

    # What an app does

    def create(self, prompt: str, *, kind: dict[str, str] = IMAGE, **fields: Any) -> str:
        """Create a task and answer its id; raises as `Client.create`."""
        asked = {**kind, "user_id": "cat", "prompt": prompt, **fields}
        return self.client.create(asked.pop("task_type"), **asked).task_id

    def create_all(self, prompts: Iterable[str], *, kind: dict[str, str] = IMAGE, **fields: Any) -> list[str]:
        """Create a task for each prompt, some at once, and answer their ids in order."""
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda prompt: self.create(prompt, kind=kind, **fields), prompts))

    def post(self, prompt: str, *, kind: dict[str, str] = IMAGE, timeout_s: float = 30.0) -> httpx.Response:
        """The API's plain answer to a create call."""
        fields = {**kind, "user_id": "cat", "prompt": prompt}
        path = f"{self.stack.api_url}/api/v1/ai/{fields.pop('task_type')}/task"
        return httpx.post(path, json=fields, timeout=timeout_s, trust_env=False)

    def readiness(self) -> dict[str, int | None]:
        """The HTTP status of the API's and each worker's `/ready`, or None where nobody answers."""
        with ThreadPoolExecutor(len(self.ready_urls)) as pool:
            return dict(zip(self.ready_urls, pool.map(_status_of, self.ready_urls.values()), strict=True))

    # What is on record

    def task(self, task_id: str) -> Task:
        """The task as it is stored."""
        document = self.documents.find_one({"_id": task_id}, WITHOUT_INPUT)
        assert document is not None, f"{task_id} is not on record"
        return task_of(document)

    def tasks(self) -> list[Task]:
        """All tasks, oldest first."""
        return [task_of(document) for document in self.documents.find({}, WITHOUT_INPUT).sort("_id")]

    def count(self, *states: State) -> int:
        """How many tasks are in one of those states."""
        return self.documents.count_documents({"state": {"$in": [state.value for state in states]}})

    # What the vendor saw

    def stats(self) -> Stats:
        """The simulator's counts."""
        return self.simulator.stats()

    def submits(self, prompt: str) -> PromptCount:
        """Submits of that prompt: `received`, and `accepted`, which a vendor would bill."""
        return self.stats().prompts.get(prompt, PromptCount())

    # Waiting

    def wait_until(self, predicate: Callable[[], T], *, description: str, within_s: float = 20.0) -> T:
        """As `waiting.wait_until`, with a picture of this running."""
        return wait_until(predicate, description=description, within_s=within_s, picture=self.picture)

    def wait_for_state(self, task_id: str, *states: State, within_s: float = 20.0) -> Task:
        """The task once it is in one of those states."""
        self.wait_until(
            lambda: self.task(task_id).state in states,
            description=f"{task_id} is {' or '.join(states)}",
            within_s=within_s,
        )
        return self.task(task_id)

    def wait_for_end(self, task_ids: Collection[str], *, within_s: float = 30.0) -> list[Task]:
        """The tasks once all of them are final, in the order asked for."""
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

    # What goes wrong

    def kill(self, *names: str) -> None:
        """End processes at once, as a crash would."""
        for name in names:
            run(self.stack[name].kill())
            self._paused.discard(name)

    def terminate(self, name: str) -> None:
        """Send SIGTERM, and do not wait."""
        pid = self.stack[name].pid
        assert pid is not None, f"{name} does not run"
        os.kill(pid, signal.SIGTERM)

    def start(self, *names: str) -> None:
        """Start processes and wait until they work."""
        for name in names:
            run(self.stack[name].start())

    def pause(self, name: str) -> None:
        """Let a process stand still: its connections stay, and it answers nothing. Each of its threads has stopped."""
        self._paused.add(name)
        self._signal(name, signal.SIGSTOP)
        threads = Path(f"/proc/{self.stack[name].pid}/task")
        wait_until(lambda: all(map(_stopped, threads.glob("*/stat"))), description=f"{name} stands still")

    def resume(self, name: str) -> None:
        """Let it go on."""
        if self.stack[name].pid is not None:
            self._signal(name, signal.SIGCONT)
        self._paused.discard(name)

    @contextmanager
    def paused(self, *names: str) -> Iterator[None]:
        """They stand still while the block runs."""
        for name in names:
            self.pause(name)
        try:
            yield
        finally:
            for name in names:
                self.resume(name)

    @contextmanager
    def unavailable(self, name: str, *, silent: bool) -> Iterator[None]:
        """A server that is not there while the block runs: it refuses connections, or takes them and is silent."""
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
        """One of our own processes: its exit code and its output."""
        process = self.stack[name]
        assert isinstance(process, ChildProcess)
        return process

    def _signal(self, name: str, number: signal.Signals) -> None:
        pid = self.stack[name].pid
        assert pid is not None, f"{name} does not run"
        os.killpg(pid, number)

    # What is shown to people

    def picture(self) -> str:
        """How things stand: the record, the vendor's counts, the last lines of every log."""
        parts = [_shown("record", self._records), _shown("vendor", self._vendor)]
        parts += [_shown(name, partial(self._log, name)) for name in ("api", *self.stack.workers)]
        return "\n".join(parts)

    def _log(self, name: str) -> str:
        return self.process(name).last_lines(_LINES_SHOWN)

    def _records(self) -> str:
        if "mongo" in self._paused or not self.stack["mongo"].running:
            return "MongoDB does not answer"
        tasks = self.tasks()
        still_open = [task for task in tasks if not task.state.final]
        shown = (still_open or tasks)[:10]
        return f"{len(tasks)} tasks, {len(still_open)} open\n" + "\n".join(map(repr, shown))

    def _vendor(self) -> str:
        stats = self.stats()
        return f"received {stats.received}, accepted {stats.accepted}, refused {stats.refused}, open {stats.open}"


def _stopped(stat: Path) -> bool:
    """Whether that thread is stopped by a signal; one that has ended is no more in the way."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "T"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _status_of(url: str) -> int | None:
    try:
        return httpx.get(url, timeout=10, trust_env=False).status_code
    except httpx.TransportError:
        return None


def _shown(title: str, look: Callable[[], str]) -> str:
    try:
        text = look()
    except Exception as error:  # a picture of a failure must not hide the failure
        text = repr(error)
    return f"--- {title}\n{text}"
