"""Periodic jobs."""

import asyncio

import pytest
import structlog

from core.errors import StoreUnavailable
from worker.periodic import ExclusiveJobs, every


class OneLock:
    """Locks whose answer the test decides; None stands for an unavailable database."""

    def __init__(self, is_free: bool | None) -> None:
        self.is_free = is_free
        self.asked: list[tuple[str, float]] = []

    async def take(self, name: str, *, for_s: float) -> bool:
        """As `Locks.take`."""
        self.asked.append((name, for_s))
        if self.is_free is None:
            raise StoreUnavailable("unavailable, as the test wanted it")
        return self.is_free


@pytest.mark.parametrize(("is_free", "runs"), [(True, 1), (False, 0), (None, 0)])
async def test_an_exclusive_job_runs_only_with_its_lock(is_free: bool | None, runs: int) -> None:
    """Without the lock, or without the database, the job is left out this time; the latter is logged."""
    locks, calls = OneLock(is_free), []

    async def act() -> None:
        calls.append(1)

    with structlog.testing.capture_logs() as logs:
        await ExclusiveJobs(locks, for_s=5.0)("reconcile", act)()

    assert (len(calls), locks.asked) == (runs, [("reconcile", 5.0)])
    assert [entry["event"] for entry in logs] == ["periodic_job_postponed"] * (is_free is None)


async def test_a_job_goes_on_after_a_failure() -> None:
    """A failure is logged and the job runs again after the next period, until it is cancelled."""
    calls, enough = [], asyncio.Event()

    async def fail() -> None:
        calls.append(1)
        if len(calls) == 3:
            enough.set()
        raise ValueError("a defect")

    work = asyncio.create_task(every(0.001, fail))
    await asyncio.wait_for(enough.wait(), 10)
    assert not work.done()

    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert work.cancelled()


async def test_nothing_is_done_before_the_first_period() -> None:
    """The first call comes after one period."""
    calls = []

    async def act() -> None:
        calls.append(1)

    work = asyncio.create_task(every(3600.0, act))
    await asyncio.sleep(0)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)

    assert calls == []


async def test_periods_have_a_jitter_of_a_tenth() -> None:
    """Of 400 periods each is between 90 % and 110 % of the period, and they are spread over most of that range."""
    periods: list[float] = []

    class EnoughPeriodsError(Exception):
        """Ends the job."""

    async def note(seconds: float) -> None:
        periods.append(seconds)
        if len(periods) == 400:
            raise EnoughPeriodsError

    async def act() -> None:
        """Do nothing."""

    with pytest.raises(EnoughPeriodsError):
        await every(100.0, act, sleep=note)

    assert all(90.0 <= period <= 110.0 for period in periods)
    assert min(periods) < 92.0
    assert max(periods) > 108.0
