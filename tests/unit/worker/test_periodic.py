"""Work that is done again and again."""

import asyncio

from worker.periodic import every


async def test_work_goes_on_after_a_failure() -> None:
    """A failure is logged and the work is done again at the next turn, until it is cancelled."""
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
    """The first turn comes after one period."""
    calls = []

    async def act() -> None:
        calls.append(1)

    work = asyncio.create_task(every(3600.0, act))
    await asyncio.sleep(0)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)

    assert calls == []
