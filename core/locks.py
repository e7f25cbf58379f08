"""Port for locks of periodic jobs."""

from typing import Protocol


class Locks(Protocol):
    """Lets one of many processes do a periodic job. Raises `StoreUnavailable`."""

    async def take(self, name: str, *, for_s: float) -> bool:
        """Whether the caller may do that job now; for `for_s` seconds nobody else may."""
