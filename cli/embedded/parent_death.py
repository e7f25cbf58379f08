"""Parent death signal: a child process gets SIGTERM when its parent ends. Linux only; elsewhere it does nothing."""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


class ParentDeathSignal:
    """
    For `Popen(preexec_fn=…)`: asks Linux to send SIGTERM when the parent ends, also after SIGKILL.

    Create it in the parent; `Popen` calls it in the child. Linux sends the signal when the thread ends that started
    the child, so start children from the main thread.
    """

    def __init__(self) -> None:
        self._parent = os.getpid()

    def __call__(self) -> None:
        """Ask for the signal; end this process at once if the parent has ended already."""
        if _LIBC is None:
            return
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != self._parent:
            os._exit(1)


def end_with_parent() -> None:
    """Ask for the signal in this process, which a library has started."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
