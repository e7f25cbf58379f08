"""What every `Locks` does. A test class inherits this and gives the fixtures `locks` and `clock`."""

import asyncio
from datetime import UTC, datetime, timedelta

from core.locks import Locks


class MovedClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Now."""
        return self.now

    def move(self, seconds: float) -> None:
        """Move the clock forward."""
        self.now += timedelta(seconds=seconds)


class LocksContract:
    """The rules of `core.locks.Locks`."""

    async def test_a_job_is_done_once_in_its_period(self, locks: Locks, clock: MovedClock) -> None:
        """The first caller gets the lock; until the period ends no other caller gets it, nor the same one again."""
        assert await locks.take("reconcile", for_s=10)
        assert not await locks.take("reconcile", for_s=10)
        clock.move(9.999)
        assert not await locks.take("reconcile", for_s=10)

    async def test_the_next_period_begins_when_the_last_one_ends(self, locks: Locks, clock: MovedClock) -> None:
        """Exactly at its end, and then for as long as the new caller requests."""
        assert await locks.take("reconcile", for_s=10)
        clock.move(10)
        assert await locks.take("reconcile", for_s=60)
        clock.move(59)
        assert not await locks.take("reconcile", for_s=10)
        clock.move(1)
        assert await locks.take("reconcile", for_s=10)

    async def test_jobs_do_not_lock_each_other(self, locks: Locks) -> None:
        """Each name is a lock of its own."""
        assert await locks.take("reconcile", for_s=10)
        assert await locks.take("heal", for_s=10)

    async def test_of_many_who_ask_for_a_new_lock_at_once_one_may(self, locks: Locks) -> None:
        """Also the first time, when there is no document yet."""
        answers = await asyncio.gather(*(locks.take("reconcile", for_s=10) for _ in range(20)))

        assert sorted(answers) == [False] * 19 + [True]

    async def test_of_many_who_ask_for_an_ended_lock_at_once_one_may(self, locks: Locks, clock: MovedClock) -> None:
        """In each period one caller runs the job."""
        assert await locks.take("reconcile", for_s=10)
        for _ in range(3):
            clock.move(10)
            answers = await asyncio.gather(*(locks.take("reconcile", for_s=10) for _ in range(20)))
            assert sorted(answers) == [False] * 19 + [True]
