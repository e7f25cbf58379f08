"""Our own queue without the rest of the server: `worker claim`, or `worker arq` for the engine of plain arq."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from arq.connections import ArqRedis

from benchmarks.peers.programs import jobs
from core.clock import utc_now
from core.settings import QueueEngine
from repositories.valkey.claims import RedisClaims, wake_queue
from repositories.valkey.connection import QUEUE_NAMES, connect_queue
from worker.engine import Engine, arq_engine, claim_engine
from worker.main import _loop_factory


def engine_name() -> QueueEngine:
    """The engine that is measured."""
    return cast(QueueEngine, os.environ["BENCH_ENGINE"])


async def step(task_id: str, _: str) -> float | None:
    """Run the job; the task's id contains its arguments."""
    sent_ns, hold_s, _ = task_id.split("-")
    await jobs.job(int(sent_ns), float(hold_s))
    return None


async def work() -> None:
    """Run the engine as a worker process does, with default settings."""
    redis = connect_queue(jobs.redis_url())
    await _engine(redis).run()


def _engine(redis: ArqRedis) -> Engine:
    if engine_name() == "arq":
        return arq_engine(redis, QUEUE_NAMES, step, concurrency=jobs.CONCURRENCY)
    claims = RedisClaims(redis, worker=f"bench-{os.getpid()}")
    return claim_engine(redis, claims, step, concurrency=jobs.CONCURRENCY)


async def serve(work: Callable[[jobs.Add], Awaitable[None]]) -> None:
    """Enqueue through the wake queue."""
    redis = connect_queue(jobs.redis_url())
    queue = wake_queue(redis, engine_name())
    numbers = iter(range(10**9))

    async def add(sent_ns: Sequence[int], hold_s: float) -> None:
        now = utc_now()
        wakes = [queue.wake(f"{each}-{hold_s}-{next(numbers)}", at=now) for each in sent_ns]
        if engine_name() == "arq":
            for wake in wakes:
                await wake
        else:
            await asyncio.gather(*wakes)  # they share round trips

    await work(add)
    await queue.aclose()


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(work())
    else:
        jobs.produce(serve)
