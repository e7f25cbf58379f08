"""Runs a coroutine function again and again until it is cancelled."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from core.errors import StoreUnavailable
from core.locks import Locks

log = structlog.get_logger(__name__)


async def every(period_s: float, act: Callable[[], Awaitable[object]]) -> None:
    """
    Call `act` each `period_s` seconds, give or take a tenth, so that workers do not march in step.

    A failure is logged and does not end it: a worker without upkeep would look healthy and be useless.
    """
    while True:
        await asyncio.sleep(period_s * random.uniform(0.9, 1.1))
        try:
            await act()
        except Exception:
            log.exception("periodic_job_failed", work=getattr(act, "__qualname__", repr(act)))


class Once:
    """
    Lets one worker do what is to be done once for all.

    Args:
        locks: Shared by all workers.
        for_s: After it was done nobody does it again for so long, in seconds.
    """

    def __init__(self, locks: Locks, *, for_s: float) -> None:
        self._locks = locks
        self._for_s = for_s

    def __call__(self, name: str, act: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
        """`act`, done only where no other worker did it a moment ago."""

        async def once() -> None:
            try:
                if await self._locks.take(name, for_s=self._for_s):
                    await act()
            except StoreUnavailable as error:
                log.warning("periodic_job_postponed", work=name, reason=str(error))

        return once
