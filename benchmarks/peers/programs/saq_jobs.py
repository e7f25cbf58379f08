"""SAQ as its README shows it: 10 jobs at once. Three tries: with one, the job of a killed worker is not run again."""

from collections.abc import Awaitable, Callable
from typing import Any

from saq import Queue

from benchmarks.peers.programs import jobs

queue = Queue.from_url(jobs.redis_url())


async def job(_: dict[str, Any], *, sent_ns: int, hold_s: float) -> None:
    """As `jobs.job`."""
    await jobs.job(sent_ns, hold_s)


settings = {"queue": queue, "functions": [job], "concurrency": jobs.CONCURRENCY}


async def serve(work: Callable[[jobs.Add], Awaitable[None]]) -> None:
    """Enqueue through SAQ's queue."""
    await queue.connect()

    async def add(sent_ns: int, hold_s: float) -> None:
        await queue.enqueue("job", sent_ns=sent_ns, hold_s=hold_s, retries=3)

    await work(jobs.one_by_one(add))
    await queue.disconnect()


if __name__ == "__main__":
    jobs.produce(serve)
