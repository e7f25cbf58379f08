"""Supervises a stack in the foreground: signals, and processes that end by themselves."""

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from cli.embedded.processes import Process
from cli.embedded.stack import Stack
from cli.output import Failed, print_message

T = TypeVar("T")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LAST_LINES: Final = 15
WATCH_PAUSE_S: Final = 0.1


class Interrupted(Exception):
    """SIGINT, SIGTERM or SIGHUP arrived."""


class Interruption:
    """
    Receives SIGINT, SIGTERM and SIGHUP. The first signal interrupts the work, the second kills the stack.

    Args:
        stack: The stack that the second signal kills.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._event = asyncio.Event()

    @property
    def has_arrived(self) -> bool:
        """Whether a signal has arrived."""
        return self._event.is_set()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """
        Run `work` until it ends or a signal arrives, and return its result.

        Raises:
            Interrupted: A signal arrived first; the work was cancelled and has ended.
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
        if self.has_arrived:
            print_message("killing all processes")
            self._stack.kill_now()
        self._event.set()


@asynccontextmanager
async def interruption(stack: Stack) -> AsyncIterator[Interruption]:
    """Handle signals inside the `async with` block."""
    loop = asyncio.get_running_loop()
    interruption = Interruption(stack)
    for number in _SIGNALS:
        loop.add_signal_handler(number, interruption._on_signal)
    try:
        yield interruption
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def fail_if_ended(stack: Stack) -> None:
    """
    Check that all processes of the stack run.

    Raises:
        Failed: A process ended by itself; names it and shows the last 15 lines of its log.
    """
    process = stack.ended_process()
    if process is not None:
        raise Failed(f"{process.name} ended unexpectedly; its last lines ({process.log_file}):\n{_last_lines(process)}")


def _last_lines(process: Process) -> str:
    lines = process.log_file.read_text(errors="replace").splitlines() if process.log_file.exists() else []
    return "\n".join(f"  {line}" for line in lines[-_LAST_LINES:])
