"""Cancellation of asyncio tasks that may swallow the first cancel."""

import asyncio
from collections.abc import Collection
from typing import Any, Final

_AGAIN_S: Final = 0.05


async def cancelled(tasks: "Collection[asyncio.Task[Any]]") -> None:
    """
    Cancel these tasks until all have ended, whatever their results.

    Before Python 3.12 `asyncio.wait_for`, through which redis-py sends, swallows a cancel that meets its success.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN_S)
