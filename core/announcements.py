"""Port of announcements: a process that waits for a task is notified that the task changed."""

import asyncio
from contextlib import AbstractContextManager
from typing import Protocol


class Announcements(Protocol):
    """
    Workers announce, API processes listen. An announcement may be lost, so a listener also reads the task periodically.
    """

    async def announce(self, task_id: str) -> None:
        """
        Notify all listeners of the task, in all processes.

        Raises:
            QueueUnavailable: Redis is unavailable.
        """

    def listening(self, task_id: str) -> AbstractContextManager[asyncio.Event]:
        """An event that each announcement of the task sets while the block runs. The caller clears it."""

    async def run(self) -> None:
        """Receive announcements until cancelled. A process that does not run this receives none."""
