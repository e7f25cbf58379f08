"""Optimistic concurrency: a use case whose write was stale reads the task again and decides again."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from core.errors import Stale

T = TypeVar("T")

MOST_TRIES: Final = 20


async def until_first(act: Callable[[], Awaitable[T]]) -> T:
    """
    Call `act`, which reads, decides and writes; call it again if another process wrote in between.

    Raises:
        Stale: Other processes wrote first in each of `MOST_TRIES` tries.
    """
    for _ in range(MOST_TRIES - 1):
        try:
            return await act()
        except Stale:
            continue
    return await act()
