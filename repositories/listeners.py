"""Listeners: the events in this process that wait for announcements, by task."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Listeners:
    """Registers events by task, and sets them."""

    def __init__(self) -> None:
        self._events: dict[str, set[asyncio.Event]] = {}

    @contextmanager
    def listening(self, task_id: str) -> Iterator[asyncio.Event]:
        """As `Announcements.listening`."""
        event = asyncio.Event()
        self._events.setdefault(task_id, set()).add(event)
        try:
            yield event
        finally:
            self._events[task_id].discard(event)
            if not self._events[task_id]:
                del self._events[task_id]

    def notify(self, task_id: str) -> None:
        """Set the events of the task."""
        for event in self._events.get(task_id, ()):
            event.set()

    def notify_all(self) -> None:
        """Set all events: announcements may have been missed."""
        for task_id in self._events:
            self.notify(task_id)

    def __len__(self) -> int:
        return len(self._events)
