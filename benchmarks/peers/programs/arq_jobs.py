"""arq at its defaults: 10 jobs at once, a poll of 0.5 s, results kept for an hour."""

from collections.abc import Awaitable, Callable
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

from benchmarks.peers.programs import jobs


async def job(_: dict[str, Any], sent_ns: int, hold_s: float) -> None:
    """As `jobs.job`."""
    await jobs.job(sent_ns, hold_s)


class WorkerSettings:
    """The settings that `arq` runs with."""

    functions = (job,)
    redis_settings = RedisSettings.from_dsn(jobs.redis_url())


async def serve(work: Callable[[jobs.Add], Awaitable[None]]) -> None:
    """Enqueue through arq's pool."""
    pool = await create_pool(WorkerSettings.redis_settings)
    await work(jobs.one_by_one(lambda sent_ns, hold_s: pool.enqueue_job("job", sent_ns, hold_s)))
    await pool.aclose()


if __name__ == "__main__":
    jobs.produce(serve)
