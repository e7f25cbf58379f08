"""Both engines on a real Redis, for the contract suite and for tests of each."""

from collections.abc import Collection
from itertools import count

from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix

from core.clock import unix_ms, utc_now
from core.priorities import Priority
from repositories.valkey.claims import NotifyingWakeQueue, RedisClaims
from repositories.valkey.connection import QUEUE_NAMES
from repositories.valkey.wakes import ArqWakeQueue
from worker.engine import Engine, Step, arq_engine, claim_engine


class ClaimEngineFixture:
    """The engine that claims; see `EngineFixture`."""

    def __init__(self, redis: ArqRedis) -> None:
        self.redis = redis
        self.queue = NotifyingWakeQueue(redis)
        self._names = count(1)

    def engine(
        self, step: Step, *, concurrency: int = 10, priorities: Collection[Priority] = tuple(Priority)
    ) -> Engine:
        """As `EngineFixture.engine`."""
        return claim_engine(self.redis, self.claims(priorities=priorities), step, concurrency=concurrency)

    def claims(self, *, lock_s: float = 60.0, priorities: Collection[Priority] = tuple(Priority)) -> RedisClaims:
        """Those of one more worker, who looks every four seconds if nothing stirs it."""
        name = f"worker-{next(self._names)}"
        return RedisClaims(self.redis, worker=name, lock_s=lock_s, idle_s=4.0, priorities=priorities)

    async def lock(self, task_id: str, *, for_s: float) -> None:
        """As `EngineFixture.lock`."""
        await self.queue.wake(task_id, at=utc_now())
        taken = await self.claims(lock_s=for_s).take(1)
        assert len(taken.claims) == 1


class ArqEngineFixture:
    """Plain arq; see `EngineFixture`."""

    def __init__(self, redis: ArqRedis) -> None:
        self.redis = redis
        self.queue = ArqWakeQueue(redis)

    def engine(
        self, step: Step, *, concurrency: int = 10, priorities: Collection[Priority] = tuple(Priority)
    ) -> Engine:
        """As `EngineFixture.engine`."""
        queues = {priority: QUEUE_NAMES[priority] for priority in priorities}
        return arq_engine(self.redis, queues, step, concurrency=concurrency, poll_s=0.01)

    async def lock(self, task_id: str, *, for_s: float) -> None:
        """As `EngineFixture.lock`."""
        now = utc_now()
        await self.queue.wake(task_id, at=now)
        await self.redis.psetex(f"{in_progress_key_prefix}{task_id}:{unix_ms(now)}", round(for_s * 1000), b"1")
