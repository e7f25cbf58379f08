"""In-memory adapter of `Announcements`."""

import asyncio
from contextlib import AbstractContextManager

from core.errors import QueueUnavailable
from repositories.listeners import Listeners


class MemoryAnnouncements:
    """
    Adapter of `Announcements` for tests; all users of one instance receive each other's announcements.

    Attributes:
        announced: Every task that was announced, in order.
        reachable: While it is False, `announce` raises `QueueUnavailable`.
        deaf: While it is True, announcements are lost.
    """

    def __init__(self) -> None:
        self.announced: list[str] = []
        self.reachable = True
        self.deaf = False
        self._listeners = Listeners()

    async def announce(self, task_id: str) -> None:
        """As `Announcements.announce`."""
        if not self.reachable:
            raise QueueUnavailable("the in-memory announcements were made unreachable by the test")
        self.announced.append(task_id)
        if not self.deaf:
            self._listeners.notify(task_id)

    def listening(self, task_id: str) -> AbstractContextManager[asyncio.Event]:
        """As `Announcements.listening`."""
        return self._listeners.listening(task_id)

    async def run(self) -> None:
        """As `Announcements.run`; there is nothing to receive."""
        await asyncio.Event().wait()
