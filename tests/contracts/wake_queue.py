"""What every `WakeQueue` does. A test class inherits this and gives the fixture `queue`, a `ReadableQueue`."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from core.clock import utc_now
from core.priorities import Priority
from core.wakes import Wake, WakeQueue


class ReadableQueue(Protocol):
    """A queue, and what a worker would find in it."""

    queue: WakeQueue

    async def due(self, at: datetime, priority: Priority = Priority.DEFAULT) -> Sequence[str]:
        """The tasks of the wakes of that priority that are due at that moment, without taking them."""


async def wake_each(queue: WakeQueue, wakes: Iterable[Wake]) -> None:
    """Queue these wakes, one after the other."""
    for wake in wakes:
        await queue.wake(wake.task_id, at=wake.at, priority=wake.priority)


class WakeQueueContract:
    """The rules of `core.wakes.WakeQueue`."""

    async def test_a_wake_for_now_is_due_at_once(self, queue: ReadableQueue) -> None:
        """A past moment means now."""
        await queue.queue.wake("task_1", at=utc_now() - timedelta(days=400))

        assert await queue.due(utc_now()) == ["task_1"]

    async def test_a_wake_for_later_is_due_then_and_not_before(self, queue: ReadableQueue) -> None:
        """To the millisecond."""
        at = utc_now() + timedelta(hours=1)
        await queue.queue.wake("task_1", at=at)

        assert await queue.due(at - timedelta(milliseconds=1)) == []
        assert await queue.due(at) == ["task_1"]

    async def test_an_earlier_wake_is_not_hidden_by_a_later_one(self, queue: ReadableQueue) -> None:
        """A task may have several wakes; each comes at its time."""
        now = utc_now()
        await queue.queue.wake("task_1", at=now + timedelta(hours=1))
        await queue.queue.wake("task_1", at=now)

        assert await queue.due(utc_now()) == ["task_1"]
        assert await queue.due(now + timedelta(hours=1)) == ["task_1", "task_1"]

    async def test_the_same_wake_twice_is_one(self, queue: ReadableQueue) -> None:
        """Asking again for the same task and moment adds nothing."""
        at = utc_now() + timedelta(minutes=5)
        await queue.queue.wake("task_1", at=at)
        await queue.queue.wake("task_1", at=at)

        assert await queue.due(at) == ["task_1"]

    async def test_a_late_wake_that_is_asked_for_again_is_one(self, queue: ReadableQueue) -> None:
        """A wake that nobody took yet may be repeated for its own moment, and the queue does not grow."""
        at = utc_now() - timedelta(minutes=5)
        await queue.queue.wake("task_1", at=at)
        await wake_each(queue.queue, [Wake(task_id="task_1", at=at), Wake(task_id="task_2", at=at)])

        assert sorted(await queue.due(utc_now())) == ["task_1", "task_2"]

    async def test_a_lost_wake_is_requeued(self, queue: ReadableQueue) -> None:
        """A wake that is not there is queued; one that is there, late or early, is one."""
        late, early = utc_now() - timedelta(minutes=5), utc_now() + timedelta(minutes=5)
        await queue.queue.wake("task_1", at=late)
        await queue.queue.wake("task_2", at=early)
        lost = [Wake(task_id=f"task_{number}", at=at) for number, at in ((1, late), (2, early), (3, late))]

        await queue.queue.requeue(lost)
        await queue.queue.requeue(lost)

        assert sorted(await queue.due(early)) == ["task_1", "task_2", "task_3"]

    async def test_lost_wakes_are_distinguished_from_those_that_come(self, queue: ReadableQueue) -> None:
        """By task, moment and priority, late or early; of none, none is lost."""
        late, early = utc_now() - timedelta(minutes=5), utc_now() + timedelta(minutes=5)
        there = [
            Wake(task_id="task_1", at=late),
            Wake(task_id="task_2", at=early),
            Wake(task_id="task_3", at=early, priority=Priority.LOW),
        ]
        await wake_each(queue.queue, there)
        lost = [Wake(task_id="task_1", at=early), Wake(task_id="task_4", at=late, priority=Priority.LOW)]

        assert await queue.queue.lost([there[0], lost[0], *there[1:], lost[1]]) == lost
        assert await queue.queue.lost([]) == []

    async def test_the_name_of_a_wake_is_its_task_and_its_millisecond(self, queue: ReadableQueue) -> None:
        """Two wakes that are one to the queue have one name, others have others."""
        at = utc_now()
        names = [
            queue.queue.name_of("task_1", at),
            queue.queue.name_of("task_1", at + timedelta(microseconds=400)),
            queue.queue.name_of("task_1", at + timedelta(milliseconds=1)),
            queue.queue.name_of("task_2", at),
        ]

        assert names[0] == names[1]
        assert len(set(names)) == 3

    async def test_each_priority_has_a_queue_of_its_own(self, queue: ReadableQueue) -> None:
        """A wake is found under its priority and under no other."""
        now = utc_now()
        for priority in Priority:
            await queue.queue.wake(f"task_{priority}", at=now, priority=priority)

        assert [await queue.due(utc_now(), priority) for priority in Priority] == [
            [f"task_{priority}"] for priority in Priority
        ]

    async def test_many_wakes_are_requeued_like_each_of_them(self, queue: ReadableQueue) -> None:
        """1,200 lost wakes are queued, each at its time and under its priority; an empty list does nothing."""
        now = utc_now()
        wakes = [
            Wake(task_id=f"task_{number:04}", at=now + timedelta(seconds=number), priority=priority)
            for number in range(600)
            for priority in (Priority.CRITICAL, Priority.LOW)
        ]
        await queue.queue.requeue(wakes)
        await queue.queue.requeue([])

        for priority in (Priority.CRITICAL, Priority.LOW):
            assert await queue.due(now + timedelta(seconds=598), priority) == [f"task_{n:04}" for n in range(599)]

    async def test_wakes_come_in_order_of_time(self, queue: ReadableQueue) -> None:
        """The earliest first, and each task its own."""
        now = utc_now()
        for task_id, seconds in (("task_3", 3), ("task_1", 1), ("task_2", 2)):
            await queue.queue.wake(task_id, at=now + timedelta(seconds=seconds))

        assert await queue.due(now + timedelta(seconds=3)) == ["task_1", "task_2", "task_3"]

    async def test_a_queue_that_is_there_answers_a_ping(self, queue: ReadableQueue) -> None:
        """No error means that it can be used."""
        await queue.queue.ping()
