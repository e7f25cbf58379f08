"""taskiq with taskiq-redis: the stream broker, which acknowledges; BENCH_BROKER=list is the broker that does not."""

import os
from collections.abc import Awaitable, Callable

from taskiq_redis import ListQueueBroker, RedisStreamBroker

from benchmarks.peers.programs import jobs

_brokers = {"stream": RedisStreamBroker, "list": ListQueueBroker}
_kind = os.environ.get("BENCH_BROKER", "stream")
broker = _brokers[_kind](url=jobs.redis_url(), queue_name=f"taskiq-{_kind}")
job = broker.register_task(jobs.job, task_name="job")


async def serve(work: Callable[[jobs.Add], Awaitable[None]]) -> None:
    """Enqueue through taskiq's broker."""
    await broker.startup()
    await work(jobs.one_by_one(job.kiq))
    await broker.shutdown()


if __name__ == "__main__":
    jobs.produce(serve)
