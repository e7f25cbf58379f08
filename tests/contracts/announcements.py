"""What all `Announcements` do. A test class inherits this and gives the fixtures `worker` and `api`, which hears it."""

import asyncio

from core.announcements import Announcements

ONE, OTHER = "task_one", "task_other"


async def heard(event: asyncio.Event) -> None:
    """Wait for the event, and clear it."""
    await asyncio.wait_for(event.wait(), 10)
    event.clear()


class AnnouncementsContract:
    """The rules of `core.announcements.Announcements`."""

    async def test_a_listener_is_notified_of_each_announcement(self, worker: Announcements, api: Announcements) -> None:
        """As often as the task is announced while the block runs."""
        with api.listening(ONE) as event:
            for _ in range(3):
                await worker.announce(ONE)
                await heard(event)

    async def test_all_listeners_of_a_task_are_notified(self, worker: Announcements, api: Announcements) -> None:
        """Two callers may wait for the same task."""
        with api.listening(ONE) as first, api.listening(ONE) as second:
            await worker.announce(ONE)
            await heard(first)
            await heard(second)

    async def test_announcements_of_other_tasks_do_not_notify(self, worker: Announcements, api: Announcements) -> None:
        """Each listener is notified of its own task only."""
        with api.listening(ONE) as one, api.listening(OTHER) as other:
            await worker.announce(ONE)
            await worker.announce(OTHER)
            await heard(other)
            await heard(one)
            await worker.announce(OTHER)
            await heard(other)
            assert not one.is_set()

    async def test_an_earlier_announcement_does_not_notify(self, worker: Announcements, api: Announcements) -> None:
        """A listener reads the stored task after it began to listen; announcements are not kept."""
        await worker.announce(ONE)
        with api.listening(OTHER) as other:
            await worker.announce(OTHER)
            await heard(other)  # so the one before it has come as well
        with api.listening(ONE) as event:
            assert not event.is_set()

    async def test_a_listener_that_left_does_not_affect_the_others(
        self, worker: Announcements, api: Announcements
    ) -> None:
        """One of two listeners stops; the other is still notified."""
        with api.listening(ONE) as event:
            with api.listening(ONE):
                pass
            await worker.announce(ONE)
            await heard(event)
        await worker.announce(ONE)
