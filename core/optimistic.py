"""Use cases that race with workers: where somebody else writes first, they read again and decide again."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from core.errors import Stale

T = TypeVar("T")

MOST_TRIES: Final = 20


async def until_first(act: Callable[[], Awaitable[T]]) -> T:
    """
    Read, decide and write, again where others wrote in between.

    Raises:
        Stale: Others kept writing; try again.
    """
    for _ in range(MOST_TRIES - 1):
        try:
            return await act()
        except Stale:
            continue
    return await act()
