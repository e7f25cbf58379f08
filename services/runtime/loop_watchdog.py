"""
Event loop watchdog: detects code that blocks the event loop, and names the plugin that it belongs to.

A thread checks that the loop still runs. Code that holds the interpreter's lock all the time, inside a C extension, is
detected only when it releases the lock.
"""

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

import structlog

from core.clock import Clock
from core.control import Stall

SERVER: Final = "server"
"""The name for the plugin if no plugin's code was running."""
_LINES_SHOWN: Final = 8

log = structlog.get_logger(__name__)

OwnerOf = Callable[[str], str | None]
"""The plugin that a module belongs to, or None."""


class Watchdog:
    """
    Watches the event loop of one thread.

    Args:
        owner_of: The plugin of a module; called from another thread.
        stall_s: The loop counts as blocked if it does not run for this time, in seconds.
        clock: Now.
    """

    def __init__(self, owner_of: OwnerOf, *, stall_s: float, clock: Clock) -> None:
        self._owner_of = owner_of
        self._stall_s = stall_s
        self._clock = clock
        self._beat = time.monotonic()
        self._thread_id = 0
        self._ended = threading.Event()
        self._stalls: dict[str, Stall] = {}
        self._stalled_since = 0.0
        self._stalled_plugin = SERVER

    @property
    def stalls(self) -> tuple[Stall, ...]:
        """The stalls since the start, by plugin."""
        return tuple(self._stalls[plugin] for plugin in sorted(self._stalls))

    async def run(self) -> None:
        """Watch the event loop that this runs on, until cancelled."""
        self._thread_id = threading.get_ident()
        self._beat = time.monotonic()
        thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        thread.start()
        try:
            while True:
                await asyncio.sleep(self._stall_s / 5)
                self._beat = time.monotonic()
        finally:
            self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(self._stall_s / 4):
            try:
                self._check()
            except Exception:  # a watchdog that ended would look as if no code blocked the loop
                log.exception("watchdog_failed")

    def _check(self) -> None:
        beat = self._beat
        blocked_s = time.monotonic() - beat
        if blocked_s <= self._stall_s:
            return
        if beat == self._stalled_since:
            self._prolong(self._stalled_plugin, blocked_s)
        else:
            self._stalled_since = beat
            self._stalled_plugin = self._new_stall(blocked_s).plugin

    def _new_stall(self, blocked_s: float) -> Stall:
        """A new stall, with its plugin; it is counted and logged once."""
        stack = list(_frames(sys._current_frames().get(self._thread_id)))
        plugin, frame = self._plugin_in(stack)
        where = _place(frame) if frame is not None else "unknown"
        before = self._stalls.get(plugin)
        stall = Stall(
            plugin=plugin,
            count=(before.count if before else 0) + 1,
            longest_s=round(max(blocked_s, before.longest_s if before else 0.0), 1),
            last=self._clock(),
            where=where,
        )
        self._stalls = {**self._stalls, plugin: stall}
        shown = [_place(frame) for frame in stack[:_LINES_SHOWN]]
        log.error("event_loop_blocked", plugin=plugin, blocked_s=round(blocked_s, 1), where=where, frames=shown)
        return stall

    def _prolong(self, plugin: str, blocked_s: float) -> None:
        stall = self._stalls[plugin]
        if blocked_s > stall.longest_s:
            longer = Stall(
                plugin=plugin,
                count=stall.count,
                longest_s=round(blocked_s, 1),
                last=self._clock(),
                where=stall.where,
            )
            self._stalls = {**self._stalls, plugin: longer}

    def _plugin_in(self, stack: list[FrameType]) -> tuple[str, FrameType | None]:
        """The plugin and its innermost frame; without a plugin, the innermost frame of all."""
        for frame in stack:
            plugin = self._owner_of(str(frame.f_globals.get("__name__", "")))
            if plugin is not None:
                return plugin, frame
        return SERVER, stack[0] if stack else None


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _place(frame: FrameType) -> str:
    module = frame.f_globals.get("__name__", "?")
    return f"{module}:{frame.f_lineno} {frame.f_code.co_name}"
