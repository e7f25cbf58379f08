"""Port of the wake queue: tells workers to look at a task."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from core.priorities import Priority


class Wake(Struct, frozen=True, kw_only=True):
    """Look at that task at that moment, or at once where it is past."""

    task_id: str
    at: datetime
    priority: Priority = Priority.DEFAULT


class WakeQueue(Protocol):
    """Tells workers to look at a task. It may lose or repeat a wake; the record decides what is done."""

    async def wake(self, task_id: str, *, at: datetime, priority: Priority = Priority.DEFAULT) -> None:
        """
        Have a worker look at the task at that moment, or at once where it is past.

        The same moment again adds nothing while the first has not begun, so a wake for a task's `wake_at` may be
        repeated freely. One that its step put back for later comes at that moment after all.

        Raises:
            QueueUnavailable: Redis cannot be reached.
        """

    async def wake_many(self, wakes: Sequence[Wake]) -> None:
        """
        As `wake`, for all of them.

        Raises:
            QueueUnavailable: Redis cannot be reached; some may be queued.
        """

    def name_of(self, task_id: str, at: datetime) -> str:
        """
        The queue's name of the wake of that task for that moment, by which a step knows whether it was woken by it.

        One name is in the queue at most once, so of all wakes of a task one at most has the name of its `wake_at`.
        """

    async def lost(self, wakes: Sequence[Wake]) -> Sequence[Wake]:
        """
        Those that the queue does not have: neither to come, nor put back by their step, nor being worked on.

        Raises:
            QueueUnavailable: Redis cannot be reached.
        """

    async def repair(self, wakes: Sequence[Wake]) -> None:
        """
        As `wake_many`, for wakes that were lost: where the queue has one for that moment, nothing is added or moved.

        A step that takes long is thus not begun again beside itself. What a dead worker took is handed out again by
        the queue, when its hold on the wake runs out.

        Raises:
            QueueUnavailable: Redis cannot be reached; some may be queued.
        """

    async def ping(self) -> None:
        """Answer if Redis does. Raises `QueueUnavailable`."""
