"""Telling a process that waits for a task that something happened to it."""

import asyncio
from contextlib import AbstractContextManager
from typing import Protocol


class Announcements(Protocol):
    """
    Workers announce, API processes listen. An announcement may be lost: who waits also reads the record now and then.
    """

    async def announce(self, task_id: str) -> None:
        """
        Tell whoever listens for the task, in whatever process.

        Raises:
            QueueUnavailable: Redis cannot be reached.
        """

    def listening(self, task_id: str) -> AbstractContextManager[asyncio.Event]:
        """An event that is set by each announcement of the task while the block runs, and that the caller clears."""

    async def run(self) -> None:
        """Receive announcements until cancelled; what is announced meanwhile to a process that does not is lost."""
