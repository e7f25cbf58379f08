"""Read latency with many stored tasks, compared with few: over HTTP, one request at a time, in turns."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from msgspec import Struct
from pymongo import MongoClient

from benchmarks.bench import Bench
from benchmarks.series import Figure, Series, percentile
from benchmarks.stored_tasks import BUSY_USER, load
from cli.embedded.servers import MongoServer, ValkeyServer
from cli.embedded.stack import ExternalServers, Stack
from repositories.mongodb.client import connect_mongo
from repositories.mongodb.tasks import MongoTaskRepository

FEW: Final = 1000
MANY: Final = 1_000_000

_TASKS: Final = "/api/v1/ai/tasks"
_RESULT: Final = "/api/v1/ai/task/result"
_SAMPLE: Final = 500
_UNITS: Final = {"p50": "ms", "p95": "ms"}
_CACHE_GB: Final = 1.0
_LISTS: Final = {
    "list": "",
    "list, status=completed": "status=completed",
    "list, status=failed": "status=failed",
    "list, type=video": "type=video",
    "list, provider=openai": "provider=openai",
    "list, user_id": f"user_id={BUSY_USER}",
    "list, user_id and status=failed": f"user_id={BUSY_USER}&status=failed",
}


class Store(Struct, frozen=True, kw_only=True):
    """
    An API with stored tasks.

    Attributes:
        ids: The ids of some of them, oldest first.
    """

    name: str
    url: str
    ids: Sequence[str]


async def measure(bench: Bench, *, few: int = FEW, many: int = MANY) -> Figure:
    """Measure two APIs on one MongoDB, each with a database of its own."""
    many = many // 50 if bench.quick else many
    requests = 20 if bench.quick else 200
    took: dict[tuple[str, str], list[Mapping[str, float]]] = {}
    async with _stores(bench, few, many) as stores:
        for turn in range(bench.rounds):
            bench.say(f"reads: round {turn + 1} of {bench.rounds}")
            for case in _cases():
                for store, times in zip(stores, await _times(case, stores, requests), strict=True):
                    numbers = {"p50": percentile(times, 0.5), "p95": percentile(times, 0.95)}
                    took.setdefault((case, store.name), []).append(numbers)
    return Figure(
        name="reads",
        title="Reads over HTTP, one at a time",
        subject=_named(many),
        key="p95",
        series=[
            Series(
                case=case,
                system=store.name,
                measure=measure,
                unit=unit,
                rounds=tuple(numbers[measure] for numbers in took[case, store.name]),
            )
            for case in _cases()
            for store in reversed(stores)
            for measure, unit in _UNITS.items()
        ],
        notes=(
            f"{requests} requests a round for each row; pages of 20; MongoDB with a cache of {_CACHE_GB:g} GB.",
            "`user_id` is a user who has every fifth task; deep in is the middle of all tasks.",
        ),
    )


def _cases() -> Sequence[str]:
    return ["get", *_LISTS, "list, by cursor deep in", "list, user_id, by cursor deep in"]


def _target(case: str, store: Store, random_source: random.Random) -> str:
    middle = store.ids[len(store.ids) // 2]
    if case == "get":
        return f"{_RESULT}/{random_source.choice(store.ids)}"
    if case == "list, by cursor deep in":
        return f"{_TASKS}?after={middle}"
    if case == "list, user_id, by cursor deep in":
        return f"{_TASKS}?after={middle}&user_id={BUSY_USER}"
    return f"{_TASKS}?{_LISTS[case]}"


async def _times(case: str, stores: Sequence[Store], requests: int) -> Sequence[Sequence[float]]:
    """Milliseconds of each request to each API; they take turns with every request."""
    random_source = random.Random(1)
    async with contextlib.AsyncExitStack() as closing:
        callers = [await closing.enter_async_context(contextlib.aclosing(await Caller.to(each.url))) for each in stores]
        times: list[list[float]] = [[] for _ in stores]
        for _ in range(requests):
            for store, caller, each in zip(stores, callers, times, strict=True):
                target = _target(case, store, random_source)
                began = time.perf_counter()
                await caller.get(target)
                each.append((time.perf_counter() - began) * 1000)
    return times


class Caller:
    """A persistent connection that needs little processor time in this process."""

    def __init__(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host = host
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, url: str) -> Self:
        """Connect."""
        parts = urlsplit(url)
        return cls(parts.netloc, *await asyncio.open_connection(parts.hostname, parts.port))

    async def get(self, target: str) -> bytes:
        """
        The body of the response.

        Raises:
            RuntimeError: It was not 200.
        """
        self._writer.write(f"GET {target} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        lengths = [
            line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
        ]
        body = await self._reader.readexactly(int(lengths[0]))
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"GET {target}: {head.splitlines()[0].decode()}: {body.decode()[:500]}")
        return body

    async def aclose(self) -> None:
        """Close the connection."""
        self._writer.close()


@contextlib.asynccontextmanager
async def _stores(bench: Bench, few: int, many: int) -> AsyncIterator[Sequence[Store]]:
    folder = bench.folder / "reads"
    mongo, valkey = MongoServer(folder / "mongo", cache_gb=_CACHE_GB), ValkeyServer(folder / "valkey")
    async with contextlib.AsyncExitStack() as closing:
        for server in (mongo, valkey):
            closing.push_async_callback(server.stop)
            await server.start()
        stores = []
        for count in (few, many):
            name = _named(count)
            url = mongo.url_of(f"tasks_{count}")
            ids = await asyncio.to_thread(_filled, url, count, bench)
            await _prepare(url)
            stack = _api(folder / f"api-{count}", url, valkey.url)
            await closing.enter_async_context(stack)
            stores.append(Store(name=name, url=stack.api_url, ids=ids))
        yield stores


def _api(folder: Path, mongo_url: str, redis_url: str) -> Stack:
    env = {"LOG_LEVEL": "warning", "AUTH": "none"}
    return Stack(
        folder, env=env, workers=0, vendors=(), external=ExternalServers(mongo_url=mongo_url, redis_url=redis_url)
    )


def _filled(url: str, count: int, bench: Bench) -> Sequence[str]:
    """Store that number of tasks and return the ids of some."""
    step = max(count // 10, 1)
    load(
        url,
        count,
        on_progress=lambda done: None if done % step else bench.say(f"reads: {done:,} of {count:,} tasks stored"),
    )
    with MongoClient[dict[str, Any]](url) as client:
        tasks = client.get_default_database()["tasks"]
        return sorted(
            task["_id"] for task in tasks.aggregate([{"$sample": {"size": _SAMPLE}}, {"$project": {"_id": 1}}])
        )


async def _prepare(url: str) -> None:
    """Create the indexes after the tasks, which is faster."""
    repository = MongoTaskRepository(connect_mongo(f"{url}&socketTimeoutMS=600000"))
    await repository.prepare()
    await repository.aclose()


def _named(count: int) -> str:
    return f"{count:,} tasks"
