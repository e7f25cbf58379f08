"""The twin of announcements, and who listens in one process."""

import pytest

from core.errors import QueueUnavailable
from repositories.listeners import Listeners
from tests.contracts.announcements import AnnouncementsContract
from tests.fakes.announcements import MemoryAnnouncements


@pytest.fixture
def worker() -> MemoryAnnouncements:
    """Nobody listens yet."""
    return MemoryAnnouncements()


@pytest.fixture
def api(worker: MemoryAnnouncements) -> MemoryAnnouncements:
    """The same memory."""
    return worker


class TestMemoryAnnouncements(AnnouncementsContract):
    """`MemoryAnnouncements` keeps the contract."""


async def test_a_queue_that_is_unavailable_is_reported_as_such(worker: MemoryAnnouncements) -> None:
    """As Redis' adapter does."""
    worker.reachable = False
    with pytest.raises(QueueUnavailable):
        await worker.announce("task_one")


def test_nothing_is_kept_of_listeners_that_left() -> None:
    """A process that lives for months does not remember every task that somebody waited for."""
    listeners = Listeners()
    with listeners.listening("task_one"), listeners.listening("task_one"), listeners.listening("task_other"):
        assert len(listeners) == 2

    assert len(listeners) == 0


def test_after_a_gap_all_listeners_are_notified() -> None:
    """When it is not known what was missed, all are told."""
    listeners = Listeners()
    with listeners.listening("task_one") as one, listeners.listening("task_other") as other:
        listeners.notify_all()

        assert one.is_set()
        assert other.is_set()
