"""Tells the API process that holds a relay's caller that the vendor's word is on record."""

import asyncio
from typing import Final

import structlog

from core.announcements import Announcements
from core.errors import QueueUnavailable
from core.task_states import State
from core.tasks import Task

_NO_NEWS: Final = frozenset({State.PENDING, State.SUBMITTING})
"""Nobody is told that a task still waits to be submitted."""

log = structlog.get_logger(__name__)


class Notifications:
    """
    Announces changes of relayed tasks, beside the step that made them: no step waits for it.

    Args:
        announcements: Where to.
    """

    def __init__(self, announcements: Announcements) -> None:
        self._announcements = announcements
        self._under_way: set[asyncio.Task[None]] = set()

    def changed(self, task: Task) -> None:
        """Announce what was saved, if somebody may wait for it."""
        if task.relay is not None and task.state not in _NO_NEWS:
            telling = asyncio.create_task(self._report(task.id))
            self._under_way.add(telling)
            telling.add_done_callback(self._under_way.discard)

    async def _report(self, task_id: str) -> None:
        try:
            await self._announcements.announce(task_id)
        except QueueUnavailable as error:
            log.info("notification_failed", task_id=task_id, reason=str(error))
