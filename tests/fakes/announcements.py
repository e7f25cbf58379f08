"""The twin of announcements in this process's memory: for tests, and for nothing else."""

import asyncio
from contextlib import AbstractContextManager

from core.errors import QueueUnavailable
from repositories.listeners import Listeners


class MemoryAnnouncements:
    """
    All who share it hear each other.

    Attributes:
        announced: Every task that was announced, in order.
        reachable: Set it to False, and `announce` raises `QueueUnavailable`.
        deaf: Set it to True, and announcements are lost.
    """

    def __init__(self) -> None:
        self.announced: list[str] = []
        self.reachable = True
        self.deaf = False
        self._listeners = Listeners()

    async def announce(self, task_id: str) -> None:
        """As `Announcements.announce`."""
        if not self.reachable:
            raise QueueUnavailable("the memory cannot be reached, as the test wanted it")
        self.announced.append(task_id)
        if not self.deaf:
            self._listeners.notify(task_id)

    def listening(self, task_id: str) -> AbstractContextManager[asyncio.Event]:
        """As `Announcements.listening`."""
        return self._listeners.listening(task_id)

    async def run(self) -> None:
        """As `Announcements.run`; nothing has to be received."""
        await asyncio.Event().wait()
