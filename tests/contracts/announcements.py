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

    async def test_who_listens_hears_each_announcement(self, worker: Announcements, api: Announcements) -> None:
        """Again and again while the block runs."""
        with api.listening(ONE) as event:
            for _ in range(3):
                await worker.announce(ONE)
                await heard(event)

    async def test_everybody_who_listens_for_the_task_hears(self, worker: Announcements, api: Announcements) -> None:
        """Two callers may wait for the same task."""
        with api.listening(ONE) as first, api.listening(ONE) as second:
            await worker.announce(ONE)
            await heard(first)
            await heard(second)

    async def test_other_tasks_are_not_heard(self, worker: Announcements, api: Announcements) -> None:
        """Each hears of its own task only."""
        with api.listening(ONE) as one, api.listening(OTHER) as other:
            await worker.announce(ONE)
            await worker.announce(OTHER)
            await heard(other)
            await heard(one)
            await worker.announce(OTHER)
            await heard(other)
            assert not one.is_set()

    async def test_what_was_announced_before_is_not_heard(self, worker: Announcements, api: Announcements) -> None:
        """Who begins to listen reads the record afterwards; there is no memory of announcements."""
        await worker.announce(ONE)
        with api.listening(OTHER) as other:
            await worker.announce(OTHER)
            await heard(other)  # so the one before it has come as well
        with api.listening(ONE) as event:
            assert not event.is_set()

    async def test_who_left_is_not_in_the_way(self, worker: Announcements, api: Announcements) -> None:
        """One of two stops listening; the other goes on."""
        with api.listening(ONE) as event:
            with api.listening(ONE):
                pass
            await worker.announce(ONE)
            await heard(event)
        await worker.announce(ONE)
