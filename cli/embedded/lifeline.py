"""Children that do not outlive their parent, however it ends. Linux only; elsewhere it does nothing."""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


class Lifeline:
    """
    For `Popen(preexec_fn=…)`: asks Linux for SIGTERM when the parent dies. Made in the parent, called in the child.

    Linux counts the death of the thread that started the child, so start children from the main thread.
    """

    def __init__(self) -> None:
        self._parent = os.getpid()

    def __call__(self) -> None:
        """Tie this process to the parent, or end it where the parent is gone already."""
        if _LIBC is None:
            return
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != self._parent:
            os._exit(1)


def die_with_parent() -> None:
    """Tie this process, which a library started, to its parent."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
