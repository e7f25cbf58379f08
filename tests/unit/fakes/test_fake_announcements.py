"""The in-memory adapter of announcements, and listeners in one process."""

import pytest

from core.errors import QueueUnavailable
from repositories.listeners import Listeners
from tests.contracts.announcements import AnnouncementsContract
from tests.fakes.announcements import MemoryAnnouncements


@pytest.fixture
def worker() -> MemoryAnnouncements:
    """Announcements without listeners."""
    return MemoryAnnouncements()


@pytest.fixture
def api(worker: MemoryAnnouncements) -> MemoryAnnouncements:
    """The same instance as `worker`."""
    return worker


class TestMemoryAnnouncements(AnnouncementsContract):
    """`MemoryAnnouncements` keeps the contract."""


async def test_an_unavailable_queue_raises_queue_unavailable(worker: MemoryAnnouncements) -> None:
    """As the Redis adapter does."""
    worker.reachable = False
    with pytest.raises(QueueUnavailable):
        await worker.announce("task_one")


def test_nothing_is_kept_of_listeners_that_left() -> None:
    """A long-running process keeps nothing of tasks that it waited for."""
    listeners = Listeners()
    with listeners.listening("task_one"), listeners.listening("task_one"), listeners.listening("task_other"):
        assert len(listeners) == 2

    assert len(listeners) == 0


def test_after_a_gap_all_listeners_are_notified() -> None:
    """If announcements may have been missed, all listeners are notified."""
    listeners = Listeners()
    with listeners.listening("task_one") as one, listeners.listening("task_other") as other:
        listeners.notify_all()

        assert one.is_set()
        assert other.is_set()
