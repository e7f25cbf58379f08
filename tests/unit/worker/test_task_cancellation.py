"""Cancellation of tasks that swallow the first cancel."""

import asyncio

from worker.task_cancellation import cancelled


async def test_a_task_that_swallows_a_cancel_is_cancelled_again() -> None:
    """A task is cancelled until it ends; the others end at once, and ended tasks are left alone."""
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
