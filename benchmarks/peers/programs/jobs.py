"""
The one job that every system runs, and how the benchmark enqueues it. Standard library only: it runs everywhere.

The job writes when its first line ran and when it was requested, in nanoseconds since 1970, to a file of its process.
"""

import asyncio
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TypeAlias

CONCURRENCY = 10
_AT_ONCE = 200
_LOOK_S = 0.005
_GAP_S = (0.02, 0.52)  # spread over a polling interval of half a second

Add: TypeAlias = Callable[[Sequence[int], float], Awaitable[object]]
"""Enqueues the job once for each moment of request, with how long it holds its slot, in seconds."""

Serve: TypeAlias = Callable[[Callable[[Add], Awaitable[None]]], Awaitable[None]]
"""Opens a client of the queue, calls the function with its `Add`, and closes it."""


def redis_url() -> str:
    """The queue's server."""
    return os.environ["BENCH_REDIS"]


async def job(sent_ns: int, hold_s: float = 0.0) -> None:
    """Record that the job began; then hold the slot for that time."""
    os.write(_file(os.getpid()), b"%d %d\n" % (time.time_ns(), sent_ns))
    if hold_s:
        await asyncio.sleep(hold_s)


def produce(serve: Serve) -> None:
    """
    Enqueue as the command line says.

    `many COUNT`: as fast as possible. `hold COUNT SECONDS`: jobs that hold their slots. `one COUNT`: each job a while
    after the last one has begun, so that it finds an idle worker.
    """
    kind, count, *hold = sys.argv[1:]
    ways = {"many": _many, "hold": _many, "one": _one_by_one}

    async def work(add: Add) -> None:
        await ways[kind](add, int(count), float(hold[0]) if hold else 0.0)

    async def main() -> None:
        await serve(work)

    asyncio.run(main())


async def _many(add: Add, count: int, hold_s: float) -> None:
    for first in range(0, count, _AT_ONCE):
        await add([time.time_ns()] * min(_AT_ONCE, count - first), hold_s)


async def _one_by_one(add: Add, count: int, _: float) -> None:
    for number in range(count):
        await asyncio.sleep(random.uniform(*_GAP_S))
        await add([time.time_ns()], 0.0)
        while begun() <= number:  # noqa: ASYNC110  the jobs run in other processes
            await asyncio.sleep(_LOOK_S)


def one_by_one(add: Callable[[int, float], Awaitable[object]]) -> Add:
    """Enqueues many jobs concurrently, for a queue that takes one job per call."""

    async def add_all(sent_ns: Sequence[int], hold_s: float) -> None:
        await asyncio.gather(*(add(each, hold_s) for each in sent_ns))

    return add_all


def begun() -> int:
    """The number of jobs that have begun."""
    return sum(path.read_bytes().count(b"\n") for path in _folder().glob("*.begun"))


def _folder() -> Path:
    return Path(os.environ["BENCH_OUT"])


@cache
def _file(pid: int) -> int:
    return os.open(_folder() / f"{pid}.begun", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
