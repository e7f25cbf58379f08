"""Ending tasks that do not hear the first time."""

import asyncio

from worker.task_cancellation import cancelled


async def test_a_task_that_swallows_a_cancel_is_cancelled_again() -> None:
    """As often as it takes; the others end at once, and what has ended already is let be."""
    swallowed = 0

    async def deaf() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 3:
                    raise

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(asyncio.Event().wait()), asyncio.create_task(done())]
    await asyncio.wait({tasks[2]})

    async with asyncio.timeout(5):
        await cancelled(tasks)

    assert [task.cancelled() for task in tasks] == [True, True, False]
    await cancelled([])


async def done() -> None:
    """Nothing."""
