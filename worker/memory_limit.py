"""Stops a worker whose memory has grown too much, so that its supervisor starts a fresh one."""

import asyncio
from collections.abc import Callable

import structlog

from services.runtime.process_metrics import resident_bytes

log = structlog.get_logger(__name__)


class Memory:
    """
    Looks at the memory of the process.

    Args:
        limit_bytes: So much is allowed, or None for any amount.
        stop: Set where it is more.
        resident: How much it is, in bytes; None where the system does not tell.

    Attributes:
        exceeded: Whether it was more.
    """

    def __init__(
        self, *, limit_bytes: int | None, stop: asyncio.Event, resident: Callable[[], int | None] = resident_bytes
    ) -> None:
        self.exceeded = False
        self._limit_bytes = limit_bytes
        self._stop = stop
        self._resident = resident

    async def look(self) -> None:
        """Stop the worker if it occupies too much; what runs is finished first."""
        resident = self._resident()
        if self._limit_bytes is None or resident is None or resident <= self._limit_bytes or self._stop.is_set():
            return
        log.error(
            "memory_limit_exceeded", resident_bytes=resident, limit_bytes=self._limit_bytes, setting="WORKER_MAX_RSS"
        )
        self.exceeded = True
        self._stop.set()
