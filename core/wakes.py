"""Port of the wake queue: a wake makes a worker run a step of a task at a given time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from core.priorities import Priority


class Wake(Struct, frozen=True, kw_only=True):
    """Run a step of that task at that moment, or at once if it has passed."""

    task_id: str
    at: datetime
    priority: Priority = Priority.DEFAULT


class WakeQueue(Protocol):
    """Wakes workers. The queue may lose or repeat a wake; the stored task decides what a step does."""

    async def wake(self, task_id: str, *, at: datetime, priority: Priority = Priority.DEFAULT) -> None:
        """
        Have a worker run a step of the task at that moment, or at once if it has passed.

        Repeating a wake that has not begun adds nothing, so a wake for a task's `wake_at` may be repeated freely. A
        wake that its step deferred comes at `at` after all.

        Raises:
            QueueUnavailable: Redis is unavailable.
        """

    def name_of(self, task_id: str, at: datetime) -> str:
        """
        The queue's name of the wake of that task for that moment. A step compares it with the name of its own wake.

        A name is in the queue at most once, so at most one wake of a task has the name of its `wake_at`.
        """

    async def lost(self, wakes: Sequence[Wake]) -> Sequence[Wake]:
        """
        The wakes that are not in the queue: neither scheduled, nor deferred by their step, nor running.

        Raises:
            QueueUnavailable: Redis is unavailable.
        """

    async def requeue(self, wakes: Sequence[Wake]) -> None:
        """
        Add wakes that were lost; a wake that is in the queue for that moment is neither added nor moved.

        So a long step does not run twice at once. The queue itself hands out the wakes of a crashed worker again, when
        its lock on them expires.

        Raises:
            QueueUnavailable: Redis is unavailable; some wakes may be queued.
        """

    async def ping(self) -> None:
        """Check that Redis answers. Raises `QueueUnavailable`."""
