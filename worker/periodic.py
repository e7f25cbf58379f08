"""Runs a coroutine function again and again until it is cancelled."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger("polyrelay.worker")


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
            log.exception("periodic_work_failed", work=getattr(act, "__qualname__", repr(act)))
