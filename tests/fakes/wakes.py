"""In-memory adapter of `WakeQueue`."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from msgspec import structs

from core.clock import Clock, to_milliseconds, utc_now
from core.errors import (
    QueueUnavailable,
)
from core.priorities import Priority
from core.wakes import Wake


class MemoryWakeQueue:
    """
    Adapter of `WakeQueue` for tests.

    Attributes:
        wakes: Wakes not handed out yet, in the order in which they were requested.
        put_back: Wakes that were handed out and deferred, with their new time.
        history: All wakes that were ever requested, with the time as it was given.
        reachable: While it is False, every call raises `QueueUnavailable`.
    """

    def __init__(self, *, clock: Clock = utc_now) -> None:
        self.reachable = True
        self.wakes: list[Wake] = []
        self.put_back: dict[Wake, datetime] = {}
        self.history: list[Wake] = []
        self._clock = clock

    async def wake(self, task_id: str, *, at: datetime, priority: Priority = Priority.DEFAULT) -> None:
        """As `WakeQueue.wake`."""
        self._add([Wake(task_id=task_id, at=at, priority=priority)])

    def name_of(self, task_id: str, at: datetime) -> str:
        """As `WakeQueue.name_of`."""
        return f"{task_id} {to_milliseconds(at).astimezone(UTC)}"

    async def lost(self, wakes: Sequence[Wake]) -> Sequence[Wake]:
        """As `WakeQueue.lost`; a wake that was handed out and not deferred counts as done."""
        self._check()
        return [wake for wake in wakes if _kept(wake) not in self.wakes and _kept(wake) not in self.put_back]

    async def requeue(self, wakes: Sequence[Wake]) -> None:
        """As `WakeQueue.requeue`."""
        self._add(await self.lost(wakes))

    async def ping(self) -> None:
        """As `WakeQueue.ping`."""
        self._check()

    async def aclose(self) -> None:
        """There is nothing to close."""

    def take_due(self, now: datetime) -> Sequence[Wake]:
        """Hand out and delete the wakes that are due at that moment, earliest first."""
        due = sorted(((at, wake) for wake, at in self._all() if at <= now), key=lambda pair: pair[0])
        self.wakes = [wake for wake in self.wakes if wake.at > now]
        self.put_back = {wake: at for wake, at in self.put_back.items() if at > now}
        return [wake for _, wake in due]

    def next_at(self) -> datetime | None:
        """When the earliest wake is due, or None if there is none."""
        return min((at for _, at in self._all()), default=None)

    def _all(self) -> Iterator[tuple[Wake, datetime]]:
        yield from ((wake, wake.at) for wake in self.wakes)
        yield from self.put_back.items()

    def _add(self, wakes: Sequence[Wake]) -> None:
        self._check()
        self.history += wakes
        for given in wakes:
            wake = _kept(given)
            self.put_back.pop(wake, None)
            if wake not in self.wakes:
                self.wakes.append(wake)

    def _check(self) -> None:
        if not self.reachable:
            raise QueueUnavailable("the in-memory wake queue was made unreachable by the test")


def _kept(wake: Wake) -> Wake:
    return structs.replace(wake, at=to_milliseconds(wake.at).astimezone(UTC))
