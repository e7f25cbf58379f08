"""An `ArqWakeQueue` that a contract suite can look into."""

from collections.abc import Sequence
from datetime import datetime

from arq.connections import ArqRedis
from arq.constants import job_key_prefix

from core.tasks import Priority
from repositories.queue import QUEUE_NAMES, ArqWakeQueue, deserialize


class ReadableArqQueue:
    """A queue, and what an arq worker would find in it."""

    def __init__(self, redis: ArqRedis) -> None:
        self.redis = redis
        self.queue = ArqWakeQueue(redis)

    async def due(self, at: datetime) -> Sequence[str]:
        """The tasks of the wakes that are due at that moment, without taking them."""
        ids = await self.redis.zrangebyscore(QUEUE_NAMES[Priority.DEFAULT], "-inf", round(at.timestamp() * 1000))
        jobs = [deserialize(await self.redis.get(job_key_prefix + job_id.decode())) for job_id in ids]
        return [job["a"][0] for job in jobs]
