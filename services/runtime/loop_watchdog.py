"""
Sees when something blocks the event loop, and whose code it is.

A thread looks whether the loop still turns. Code that holds the interpreter's lock all the while, inside of a C
extension, is seen only when it lets go.
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
"""Stands for a plugin's name where no plugin's code was at work."""
_LINES_SHOWN: Final = 8

log = structlog.get_logger(__name__)

OwnerOf = Callable[[str], str | None]
"""The plugin that a module belongs to, or None."""


class Watchdog:
    """
    Watches the event loop of one thread.

    Args:
        owner_of: Names the plugin of a module; called from another thread.
        stall_s: The loop counts as blocked when it does not turn for so long, in seconds.
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
        self._blamed = SERVER

    @property
    def stalls(self) -> tuple[Stall, ...]:
        """What was seen since the start, by plugin."""
        return tuple(self._stalls[plugin] for plugin in sorted(self._stalls))

    async def run(self) -> None:
        """Watch the loop that this runs on, until cancelled."""
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
                self._look()
            except Exception:  # a watchdog that ended would look as if all were well
                log.exception("watchdog_failed")

    def _look(self) -> None:
        beat = self._beat
        blocked_s = time.monotonic() - beat
        if blocked_s <= self._stall_s:
            return
        if beat == self._stalled_since:
            self._lasts(self._blamed, blocked_s)
        else:
            self._stalled_since = beat
            self._blamed = self._seen(blocked_s).plugin

    def _seen(self, blocked_s: float) -> Stall:
        """A new stall: whose it is, counted and logged once."""
        stack = list(_frames(sys._current_frames().get(self._thread_id)))
        plugin, frame = self._culprit(stack)
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

    def _lasts(self, plugin: str, blocked_s: float) -> None:
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

    def _culprit(self, stack: list[FrameType]) -> tuple[str, FrameType | None]:
        """The innermost frame of a plugin; without one, the innermost frame of all."""
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
