"""The event loop watchdog."""

import asyncio
import time

from core.clock import utc_now
from core.control import Stall
from services.runtime.control_sync import running
from services.runtime.loop_watchdog import SERVER, Watchdog

STALL_S = 0.1


def watchdog(owner: str | None) -> Watchdog:
    """A watchdog for which this module belongs to that plugin."""
    return Watchdog(lambda module: owner if module == __name__ else None, stall_s=STALL_S, clock=utc_now)


def block() -> None:
    """Block the event loop."""
    time.sleep(STALL_S * 6)


async def seen(dog: Watchdog, count: int) -> Stall:
    """The one stall, once it was counted that often."""
    async with asyncio.timeout(10):
        while sum(stall.count for stall in dog.stalls) < count:  # noqa: ASYNC110 - a thread tells no event
            await asyncio.sleep(0.01)
    (stall,) = dog.stalls
    return stall


async def test_a_plugin_that_blocks_the_loop_is_named() -> None:
    """The report has the running line, the count and the longest time; a stall is counted once."""
    dog = watchdog("acme")
    async with running(dog.run()):
        await asyncio.sleep(STALL_S)
        block()
        stall = await seen(dog, 1)
        await asyncio.sleep(STALL_S)
        block()
        await seen(dog, 2)

    assert (stall.plugin, stall.count) == ("acme", 1)
    assert stall.longest_s >= STALL_S
    assert stall.where.startswith(f"{__name__}:")
    assert stall.where.endswith(" block")


async def test_a_stall_of_no_plugin_is_the_servers() -> None:
    """A stall in the server's own code names no plugin."""
    dog = watchdog(None)
    async with running(dog.run()):
        await asyncio.sleep(STALL_S)
        block()
        stall = await seen(dog, 1)

    assert stall.plugin == SERVER


async def test_a_loop_that_is_not_blocked_is_not_reported() -> None:
    """The watchdog checks every half second; a loop that runs at least every 2 s is no stall."""
    dog = Watchdog(lambda _: "acme", stall_s=2.0, clock=utc_now)
    async with running(dog.run()):
        await asyncio.sleep(1.2)

    assert dog.stalls == ()
