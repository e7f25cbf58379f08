"""Running a stack in the foreground until somebody stops it or something in it dies."""

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from cli.embedded.processes import Process
from cli.embedded.stack import Stack
from cli.output import Failed, report

T = TypeVar("T")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LAST_LINES: Final = 15
WATCH_PAUSE_S: Final = 0.1


class Interrupted(Exception):
    """Somebody asked us to stop."""


class Interruption:
    """
    SIGINT, SIGTERM and SIGHUP as an event. The first asks everything to stop in order, the second ends it at once.

    Args:
        stack: What the second signal kills.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._event = asyncio.Event()

    @property
    def came(self) -> bool:
        """Whether somebody asked us to stop."""
        return self._event.is_set()

    async def interrupts(self, work: Coroutine[Any, Any, T]) -> T:
        """
        The work's result.

        Raises:
            Interrupted: A signal came first; the work was cancelled and has ended.
        """
        task = asyncio.create_task(work)
        signalled = asyncio.create_task(self._event.wait())
        try:
            await asyncio.wait({task, signalled}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            signalled.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if task.cancelled():
            raise Interrupted
        return task.result()

    def _on_signal(self) -> None:
        if self.came:
            report("stopping at once")
            self._stack.kill_now()
        self._event.set()


@asynccontextmanager
async def interruption(stack: Stack) -> AsyncIterator[Interruption]:
    """Signals are caught while inside."""
    loop = asyncio.get_running_loop()
    interruption = Interruption(stack)
    for number in _SIGNALS:
        loop.add_signal_handler(number, interruption._on_signal)
    try:
        yield interruption
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def fail_if_dead(stack: Stack) -> None:
    """
    Look after the stack's processes.

    Raises:
        Failed: One ended by itself; says which, and the last lines that it printed.
    """
    process = stack.dead()
    if process is not None:
        raise Failed(f"{process.name} ended unexpectedly; its last lines ({process.log_file}):\n{_end_of(process)}")


def _end_of(process: Process) -> str:
    lines = process.log_file.read_text(errors="replace").splitlines() if process.log_file.exists() else []
    return "\n".join(f"  {line}" for line in lines[-_LAST_LINES:])
