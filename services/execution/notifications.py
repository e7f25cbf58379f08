"""Notifies the API process that holds a relay request that the vendor's response is stored."""

import asyncio
from typing import Final

import structlog

from core.announcements import Announcements
from core.errors import QueueUnavailable
from core.task_states import State
from core.tasks import Task

_BEFORE_RESPONSE: Final = frozenset({State.PENDING, State.SUBMITTING})
"""States without a vendor's response; they are not announced."""

log = structlog.get_logger(__name__)


class Notifications:
    """
    Announces changes of relayed tasks, concurrently with the step that made them: no step waits for it.

    Args:
        announcements: Reach the API processes.
    """

    def __init__(self, announcements: Announcements) -> None:
        self._announcements = announcements
        self._running: set[asyncio.Task[None]] = set()

    def changed(self, task: Task) -> None:
        """Announce a saved task if a relay request may wait for it."""
        if task.relay is not None and task.state not in _BEFORE_RESPONSE:
            announcing = asyncio.create_task(self._announce(task.id))
            self._running.add(announcing)
            announcing.add_done_callback(self._running.discard)

    async def _announce(self, task_id: str) -> None:
        try:
            await self._announcements.announce(task_id)
        except QueueUnavailable as error:
            log.info("notification_failed", task_id=task_id, reason=str(error))
