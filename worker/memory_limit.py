"""Memory limit of a worker: above it the worker stops, so that its supervisor starts a new process."""

import asyncio
from collections.abc import Callable

import structlog

from services.runtime.process_metrics import resident_bytes

log = structlog.get_logger(__name__)


class RssLimit:
    """
    Compares the memory of the process with a limit.

    Args:
        limit_bytes: The limit (`WORKER_MAX_RSS`), in bytes; None for no limit.
        stop: Set when the limit is exceeded.
        resident: The resident memory of the process, in bytes; None if the system does not report it.

    Attributes:
        exceeded: Whether the limit was exceeded.
    """

    def __init__(
        self, *, limit_bytes: int | None, stop: asyncio.Event, resident: Callable[[], int | None] = resident_bytes
    ) -> None:
        self.exceeded = False
        self._limit_bytes = limit_bytes
        self._stop = stop
        self._resident = resident

    async def check(self) -> None:
        """Stop the worker if its memory exceeds the limit; running steps end first."""
        resident = self._resident()
        if self._limit_bytes is None or resident is None or resident <= self._limit_bytes or self._stop.is_set():
            return
        log.error(
            "memory_limit_exceeded", resident_bytes=resident, limit_bytes=self._limit_bytes, setting="WORKER_MAX_RSS"
        )
        self.exceeded = True
        self._stop.set()
