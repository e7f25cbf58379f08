"""An `ArqWakeQueue` that a contract suite can look into."""

from collections.abc import Sequence
from datetime import datetime

from arq.connections import ArqRedis
from arq.constants import job_key_prefix

from core.priorities import Priority
from repositories.valkey.connection import QUEUE_NAMES, deserialize
from repositories.valkey.wakes import ArqWakeQueue


class ReadableArqQueue:
    """A queue, and what an arq worker would find in it."""

    def __init__(self, redis: ArqRedis, queue: ArqWakeQueue | None = None) -> None:
        self.redis = redis
        self.queue = queue or ArqWakeQueue(redis)

    async def due(self, at: datetime, priority: Priority = Priority.DEFAULT) -> Sequence[str]:
        """The tasks of the wakes of that priority that are due at that moment, without taking them."""
        ids = await self.redis.zrangebyscore(QUEUE_NAMES[priority], "-inf", round(at.timestamp() * 1000))
        if not ids:
            return []
        jobs = await self.redis.mget([job_key_prefix + job_id.decode() for job_id in ids])
        return [deserialize(job)["a"][0] for job in jobs if job is not None]
