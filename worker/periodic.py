"""Periodic jobs: coroutine functions that run again and again, in every worker or in one worker for all."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from core.errors import StoreUnavailable
from core.locks import Locks

log = structlog.get_logger(__name__)


async def every(
    period_s: float,
    act: Callable[[], Awaitable[object]],
    *,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """
    Call `act` every `period_s` seconds, with a jitter of 10 %: workers must not run their jobs at the same moments.

    The first call comes after one period. A failure is logged and the job goes on: a worker without its periodic jobs
    would look healthy and be useless.
    """
    while True:
        await sleep(period_s * random.uniform(0.9, 1.1))
        try:
            await act()
        except Exception:
            log.exception("periodic_job_failed", work=getattr(act, "__qualname__", repr(act)))


class ExclusiveJobs:
    """
    Runs each job in one worker for all workers.

    Args:
        locks: Shared by all workers.
        for_s: How long no worker runs a job again after one began it, in seconds.
    """

    def __init__(self, locks: Locks, *, for_s: float) -> None:
        self._locks = locks
        self._for_s = for_s

    def __call__(self, name: str, act: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
        """`act`, which does nothing if another worker ran it less than `for_s` seconds ago; `name` is the lock's."""

        async def exclusive() -> None:
            try:
                if await self._locks.take(name, for_s=self._for_s):
                    await act()
            except StoreUnavailable as error:
                log.warning("periodic_job_postponed", work=name, reason=str(error))

        return exclusive
