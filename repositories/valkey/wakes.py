"""Wake queue in Redis, as arq jobs written by arq."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix

from core.clock import unix_ms, utc_now
from core.errors import QueueUnavailable
from core.priorities import Priority
from core.wakes import Wake
from repositories.valkey.connection import QUEUE_NAMES, queue_errors

WAKE_FUNCTION: Final = "advance"
"""The name under which a worker registers `async def advance(ctx, task_id)`."""

WAKE_KEPT: Final = timedelta(days=7)
"""How long a wake that no worker takes is kept after its time. After that, the reconciler queues it again."""

_ROUNDING_MS: Final = 1
"""Tolerance for times of arq, which computes with floats."""

IDS_TRIED: Final = 20
"""Number of ids that a wake may have: as many wakes of one task for one millisecond may run at once."""


class ArqWakeQueue:
    """
    Adapter of `WakeQueue`: wakes as arq jobs of the function `advance`, with the task's id as the only argument.

    The same task at the same millisecond is one job. Workers must keep no results (`keep_result=0`).
    """

    def __init__(self, redis: ArqRedis, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._redis = redis
        self._clock = clock

    async def wake(self, task_id: str, *, at: datetime, priority: Priority = Priority.DEFAULT) -> None:
        """
        As `WakeQueue.wake`.

        arq drops a job whose id exists, also while that job runs, and a running job may have read the task before the
        caller changed it. So a dropped wake counts as queued only if the existing one is due by then and has not begun;
        otherwise the next id is tried.
        """
        wake = Wake(task_id=task_id, at=at, priority=priority)
        with queue_errors(self._redis):
            for later in range(IDS_TRIED):
                if await self._enqueue(wake, later=later):
                    return
        raise not_queued(task_id)

    def name_of(self, task_id: str, at: datetime) -> str:
        """As `WakeQueue.name_of`: the job's id."""
        return _job_id(task_id, unix_ms(at))

    async def lost(self, wakes: Sequence[Wake]) -> Sequence[Wake]:
        """As `WakeQueue.lost`, in one round trip per priority: an id stays in its queue until its job is done."""
        names = [self.name_of(wake.task_id, wake.at) for wake in wakes]
        queued: set[str] = set()
        with queue_errors(self._redis):
            for priority in {wake.priority for wake in wakes}:
                some = [name for name, wake in zip(names, wakes, strict=True) if wake.priority is priority]
                scores = await self._redis.zmscore(QUEUE_NAMES[priority], some)
                queued.update(name for name, score in zip(some, scores, strict=True) if score is not None)
        return [wake for name, wake in zip(names, wakes, strict=True) if name not in queued]

    async def requeue(self, wakes: Sequence[Wake]) -> None:
        """As `WakeQueue.requeue`."""
        for wake in await self.lost(wakes):
            with queue_errors(self._redis):
                if not await self._redis.exists(in_progress_key_prefix + self.name_of(wake.task_id, wake.at)):
                    await self.wake(wake.task_id, at=wake.at, priority=wake.priority)

    async def ping(self) -> None:
        """As `WakeQueue.ping`."""
        with queue_errors(self._redis):
            await self._redis.ping()

    async def aclose(self) -> None:
        """Close the client."""
        await self._redis.aclose()

    async def _enqueue(self, wake: Wake, *, later: int) -> bool:
        job_id = _job_id(wake.task_id, unix_ms(wake.at) + later)
        queue_name = QUEUE_NAMES[wake.priority]
        job = await self._redis.enqueue_job(
            WAKE_FUNCTION,
            wake.task_id,
            _job_id=job_id,
            _queue_name=queue_name,
            _defer_until=wake.at,
            _expires=kept_for(wake, self._clock()),
        )
        return job is not None or await self._will_run(job_id, queue_name, by=unix_ms(wake.at))

    async def _will_run(self, job_id: str, queue_name: str, *, by: int) -> bool:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.exists(job_key_prefix + job_id)
            pipe.zscore(queue_name, job_id)
            pipe.exists(in_progress_key_prefix + job_id)
            stored, score, running = await pipe.execute()
        return bool(stored and score is not None and score <= by + _ROUNDING_MS and not running)


def _job_id(task_id: str, ms: int) -> str:
    return f"{task_id}:{ms}"


def not_queued(task_id: str) -> QueueUnavailable:
    """The error for a wake for which no id was free."""
    return QueueUnavailable(f"Redis did not take a wake of task {task_id}")


def kept_for(wake: Wake, now: datetime) -> timedelta:
    """How long the job of a wake is kept from now."""
    return max(wake.at - now, timedelta()) + WAKE_KEPT
