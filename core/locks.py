"""Port of locks: one of many processes runs a periodic job."""

from typing import Protocol


class Locks(Protocol):
    """Named locks, shared by all processes. Raises `StoreUnavailable` if the database is unavailable."""

    async def take(self, name: str, *, for_s: float) -> bool:
        """Take the lock for `for_s` seconds. False if another process has it."""
