"""Port of used signatures: replay protection. A recorded signed request is not accepted a second time."""

from datetime import datetime
from typing import Protocol


class UsedSignatures(Protocol):
    """
    Used signatures, by their hashes. Every method raises `StoreUnavailable` if the database is unavailable.

    A signature that creates a task is stored in the task, in the same write. This store has the others, and those of
    deleted tasks.
    """

    async def spend(self, signature: str, *, until: datetime) -> bool:
        """Mark it as used, atomically. False if it was used already. It may be deleted after `until`."""

    async def spent(self, signature: str) -> bool:
        """Whether it was used."""
