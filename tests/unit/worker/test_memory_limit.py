"""The memory limit of a worker."""

import asyncio

import pytest

from services.runtime.process_metrics import resident_bytes
from worker.memory_limit import RssLimit


@pytest.mark.parametrize(
    ("limit", "resident", "stopped"), [(None, 10**12, False), (100, 100, False), (100, 101, True), (100, None, False)]
)
async def test_the_limit_decides(limit: int | None, resident: int | None, stopped: bool) -> None:
    """Above the limit the worker stops; without a limit, or without a reading, nothing happens."""
    stop = asyncio.Event()
    memory = RssLimit(limit_bytes=limit, stop=stop, resident=lambda: resident)
    await memory.check()

    assert (memory.exceeded, stop.is_set()) == (stopped, stopped)


async def test_a_stopping_worker_does_not_exceed_the_limit() -> None:
    """Its exit code says why it stopped first."""
    stop = asyncio.Event()
    stop.set()
    memory = RssLimit(limit_bytes=1, stop=stop, resident=lambda: 2)
    await memory.check()

    assert not memory.exceeded


def test_the_memory_of_this_process_is_known() -> None:
    """Between a megabyte and a terabyte."""
    assert 2**20 < (resident_bytes() or 0) < 2**40
