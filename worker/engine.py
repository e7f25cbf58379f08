"""arq as the engine: takes wakes from Redis, runs one step for each, and goes on after Redis was unavailable."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

import structlog
from arq.connections import ArqRedis
from arq.typing import WorkerCoroutine
from arq.worker import Retry, Worker, func

from core.claims import Claims
from core.errors import AuditFailed, QueueUnavailable, StoreUnavailable
from core.priorities import Priority, shares
from worker.claim_loop import ClaimingWorker
from worker.task_cancellation import cancelled

_LONGEST_STEP_S: Final = 24 * 3600
_MANY: Final = 1_000_000
_PAUSE_S: Final = 1.0

log = structlog.get_logger(__name__)

Step: TypeAlias = Callable[[str, str], Awaitable[float | None]]
"""
One step of the task of that id, started by the wake of that name.

Returns in how many seconds the same wake must arrive again, or None if it is used up.
"""

Handler: TypeAlias = Callable[[dict[Any, Any], str], Awaitable[float | None]]
"""What runs for a wake: arq's context and the task's id. Returns as `Step`."""


class PollingWorker(Worker):
    """arq's worker, unchanged except that a stop can wait for the wakes that it is claiming."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.claiming = asyncio.Lock()

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Claim wakes and start their steps, unless the worker is stopping."""
        async with self.claiming:
            if self.allow_pick_jobs:
                await super().start_jobs(job_ids)

    def free_lost_slots(self) -> None:
        """Free the slots of wakes whose claim broke off; arq keeps them, and would run out of slots."""
        running = sum(not step.done() for step in self.tasks.values())
        for _ in range(self.job_counter - running):
            self._release_sem_dec_counter_on_complete()


class Engine:
    """
    Runs a step for each wake; see `claim_engine` and `arq_engine`.

    Args:
        workers: arq's workers of this process.
    """

    def __init__(self, workers: Sequence[ClaimingWorker | PollingWorker]) -> None:
        self._workers = workers

    @property
    def running(self) -> int:
        """The number of running steps."""
        return sum(len(_unfinished(worker)) for worker in self._workers)

    async def run(self) -> None:
        """Take wakes until cancelled."""
        # Not a TaskGroup, which cancels its tasks once; see `cancelled`.
        await asyncio.gather(*map(_run, self._workers))

    async def drain(self, *, grace_s: float) -> int:
        """
        Take no further wakes and wait for the running steps; returns how many did not end within `grace_s` seconds.

        The wakes of those that did not end, and wakes that were being claimed, are left to other workers.
        """
        for worker in self._workers:
            worker.allow_pick_jobs = False
        cut_off = await self._end_steps(grace_s)
        for worker in self._workers:
            if isinstance(worker, ClaimingWorker):
                await worker.give_back()
        return cut_off

    async def _end_steps(self, grace_s: float) -> int:
        steps: list[asyncio.Task[Any]] = []
        for worker in self._workers:
            async with worker.claiming:
                steps += _unfinished(worker)
        if not steps:
            return 0
        _, left = await asyncio.wait(steps, timeout=grace_s)
        await cancelled(left)
        return len(left)


def claim_engine(redis: ArqRedis, claims: Claims, step: Step, *, concurrency: int) -> Engine:
    """
    An engine that claims wakes by the weights of their priorities, and is notified by the queue.

    Args:
        redis: arq's client; its serializer and deserializer are used.
        claims: The wakes that this worker takes.
        step: One step of one task.
        concurrency: How many steps run at once.
    """
    options = _options(redis, _handler(step), redis.default_queue_name, concurrency)
    return Engine([ClaimingWorker(claims, **options)])


def arq_engine(
    redis: ArqRedis,
    queues: Mapping[Priority, str],
    step: Step,
    *,
    concurrency: int,
    poll_s: float = 0.05,
    lock_s: float = 30.0,
) -> Engine:
    """
    An engine of plain arq workers, one per queue. They share the slots by weight; an idle worker lends none.

    Args:
        redis: arq's client; its serializer and deserializer are used.
        queues: The queues to serve.
        step: One step of one task.
        concurrency: How many steps run at once; at least one for each queue.
        poll_s: How often the queues are polled, in seconds.
        lock_s: How long the wakes of a killed worker stay locked, in seconds. A step may take longer: a second step
            for the same wake does no harm, because the stored task decides.
    """
    handler = _raising_retry(_handler(step))
    workers = [
        PollingWorker(**_options(redis, handler, queues[priority], slots), poll_delay=poll_s)
        for priority, slots in shares(concurrency, queues).items()
    ]
    for worker in workers:
        worker.in_progress_timeout_s = lock_s
    return Engine(workers)


def _options(
    redis: ArqRedis, handler: Callable[..., Awaitable[Any]], queue_name: str, concurrency: int
) -> dict[str, Any]:
    return {
        "functions": [func(cast(WorkerCoroutine, handler), name="advance", max_tries=_MANY, keep_result=0)],
        "redis_pool": redis,
        "queue_name": queue_name,
        "max_jobs": concurrency,
        "job_timeout": _LONGEST_STEP_S,  # a step has its own time limits; arq must not cut a paid call short
        "keep_result": 0,
        "handle_signals": False,
        "job_serializer": redis.job_serializer,
        "job_deserializer": redis.job_deserializer,
        "log_results": False,
    }


def _handler(step: Step) -> Handler:
    """Runs a step; an exception of one task must not reach the others."""

    async def handle(job: dict[Any, Any], task_id: str) -> float | None:
        try:
            return await step(task_id, job["job_id"])
        except (AuditFailed, StoreUnavailable, QueueUnavailable) as error:
            log.warning("step_postponed", task_id=task_id, reason=str(error), again_after_s=_PAUSE_S)
            return _PAUSE_S
        except Exception:
            log.exception("step_failed", task_id=task_id)
            return None

    return handle


def _raising_retry(handler: Handler) -> Callable[[dict[Any, Any], str], Awaitable[None]]:
    """The handler for plain arq, which repeats a job whose function raises `Retry`."""

    async def handle(job: dict[Any, Any], task_id: str) -> None:
        again_in_s = await handler(job, task_id)
        if again_in_s is not None:
            raise Retry(defer=again_in_s)

    return handle


async def _run(worker: ClaimingWorker | PollingWorker) -> None:
    while True:
        try:
            await worker.main()
        except Exception as error:  # whatever a lost connection raises; the worker goes on
            log.warning("queue_unavailable", reason=type(error).__name__, again_after_s=_PAUSE_S)
            await asyncio.sleep(_PAUSE_S)
            if isinstance(worker, PollingWorker):
                worker.free_lost_slots()


def _unfinished(worker: Worker) -> list[asyncio.Task[Any]]:
    return [step for step in worker.tasks.values() if not step.done()]
