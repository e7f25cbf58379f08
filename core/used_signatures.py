"""Signatures that were used up, so that nobody who recorded a request can send it again."""

from datetime import datetime
from typing import Protocol


class UsedSignatures(Protocol):
    """
    Signatures by their hashes. Every method raises `StoreUnavailable` where the database cannot be reached.

    A signature that creates a task is kept with the task, in the same write. Here are the others, and those of tasks
    that were removed.
    """

    async def spend(self, signature: str, *, until: datetime) -> bool:
        """Use it up, atomically. False where it was used up before; after `until` it may be forgotten."""

    async def spent(self, signature: str) -> bool:
        """Whether it was used up."""
