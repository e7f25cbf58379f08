"""streaQ as its pages show it: 10 jobs at once instead of 16, and no log line for each job."""

from collections.abc import Awaitable, Callable, Sequence

from streaq import Worker

from benchmarks.peers.programs import jobs

worker = Worker(redis_url=jobs.redis_url(), concurrency=jobs.CONCURRENCY)
job = worker.task(name="job", silent=True)(jobs.job)


async def serve(work: Callable[[jobs.Add], Awaitable[None]]) -> None:
    """Enqueue through streaQ's worker, used as a client."""

    async def add(sent_ns: Sequence[int], hold_s: float) -> None:
        await worker.enqueue_many([job.enqueue(each, hold_s) for each in sent_ns])

    async with worker:
        await work(add)


if __name__ == "__main__":
    jobs.produce(serve)
