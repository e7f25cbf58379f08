"""arq as the engine: takes wakes from Redis and runs one step for each, surviving Redis being away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import structlog
from arq.connections import ArqRedis
from arq.typing import WorkerCoroutine
from arq.worker import Retry, Worker, func

from core.errors import StoreUnavailable

_LONGEST_STEP_S: Final = 24 * 3600
_LOCK_S: Final = 60
_MANY: Final = 1_000_000
_PAUSE_S: Final = 1.0

log = structlog.get_logger("polyrelay.worker")

Step = Callable[[str], Awaitable[None]]


class _Claims(Worker):
    """arq's worker, whose claiming of wakes can be waited for."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.claiming = asyncio.Lock()

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Claim wakes and start their steps, unless no more are wanted."""
        async with self.claiming:
            if self.allow_pick_jobs:
                await super().start_jobs(job_ids)

    def free_lost_slots(self) -> None:
        """Give back the slots of wakes whose claim broke off; arq keeps them, and would run dry."""
        running = sum(not step.done() for step in self.tasks.values())
        for _ in range(self.job_counter - running):
            self._release_sem_dec_counter_on_complete()


class Engine:
    """
    Runs `step(task_id)` for each wake.

    Args:
        redis: arq's connection, whose (de)serializer and queue name are used.
        step: One step of one task.
        concurrency: Steps that run at once.
        poll_s: How often the queue is looked at, in seconds.
    """

    def __init__(self, redis: ArqRedis, step: Step, *, concurrency: int, poll_s: float = 0.05) -> None:
        self._step = step
        self._arq = _Claims(
            functions=[func(cast(WorkerCoroutine, self._advance), name="advance", max_tries=_MANY, keep_result=0)],
            redis_pool=redis,
            queue_name=redis.default_queue_name,
            max_jobs=concurrency,
            job_timeout=_LONGEST_STEP_S,  # a step has its own time limits; arq must not cut a paid call short
            keep_result=0,
            poll_delay=poll_s,
            handle_signals=False,
            job_serializer=redis.job_serializer,
            job_deserializer=redis.job_deserializer,
            log_results=False,
        )
        # A killed worker's wakes are locked that long. A second run of a wake does no harm: the record decides.
        self._arq.in_progress_timeout_s = _LOCK_S

    @property
    def running(self) -> int:
        """Steps that run just now."""
        return len(self._unfinished())

    async def run(self) -> None:
        """Take wakes until cancelled."""
        while True:
            try:
                await self._arq.main()
            except Exception as error:  # whatever a lost connection raises: the worker outlives it
                log.warning("queue_unavailable", reason=type(error).__name__, again_after_s=_PAUSE_S)
                await asyncio.sleep(_PAUSE_S)
                self._arq.free_lost_slots()

    async def drain(self, *, grace_s: float) -> int:
        """Take no further wakes, wait for the running steps, and answer how many did not end within `grace_s`."""
        self._arq.allow_pick_jobs = False
        async with self._arq.claiming:
            steps = self._unfinished()
        if not steps:
            return 0
        _, left = await asyncio.wait(steps, timeout=grace_s)
        for step in left:
            step.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return len(left)

    def _unfinished(self) -> list[asyncio.Task[Any]]:
        return [step for step in self._arq.tasks.values() if not step.done()]

    async def _advance(self, _: dict[Any, Any], task_id: str) -> None:
        try:
            await self._step(task_id)
        except StoreUnavailable as error:
            log.warning("step_postponed", task_id=task_id, reason=str(error), again_after_s=_PAUSE_S)
            raise Retry(defer=_PAUSE_S) from error
        except Exception:  # one task's trouble must not reach the others
            log.exception("step_failed", task_id=task_id)
