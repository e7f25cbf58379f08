"""
Journeys: which modules of the product run, in order, while one request or one step is served.

A journey is recorded with Python's profile hook: every function of ours that is called by the asyncio task of the
journey, or by a task that it started, which inherits its context. What other tasks of the process do meanwhile does not
count.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = ("polyrelay", "core", "services", "providers", "repositories", "api", "worker")

_recorded: Final = ContextVar("recorded", default=False)


class Call(NamedTuple):
    """
    A function of ours that began.

    Attributes:
        module: The path of its module.
        function: Its qualified name.
        callers: The modules of ours on the call stack, the nearest first.
    """

    module: str
    function: str
    callers: tuple[str, ...]


class Journey:
    """The calls of one journey, in order."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._frames: dict[int, FrameType] = {}  # kept, so that no other frame gets the id of one that began already

    def note(self, frame: FrameType) -> None:
        """Add the call that the frame stands for, unless it is one that only goes on after an `await`."""
        module = _module_of(frame)
        if module is None or frame.f_code.co_name == "<module>" or id(frame) in self._frames:
            return
        self._frames[id(frame)] = frame
        self.calls.append(Call(module, frame.f_code.co_qualname, tuple(_callers_of(frame))))

    def between(self, first: Callable[[Call], bool], last: Callable[[Call], bool]) -> Sequence[Call]:
        """The calls from the first that `first` means, and before the last that `last` means."""
        begin = next(index for index, call in enumerate(self.calls) if first(call))
        end = max(index for index, call in enumerate(self.calls) if last(call))
        return self.calls[begin:end]


def modules(calls: Sequence[Call], *, without: Sequence[str] = ()) -> list[str]:
    """The modules in which a function ran, each once, in the order in which they were first entered."""
    return list(dict.fromkeys(call.module for call in calls if not call.module.startswith(tuple(without))))


def reentries(calls: Sequence[Call]) -> Counter[str]:
    """How often each module was called from another one while a function of its own was on the call stack."""
    return Counter(call.module for call in calls if call.module in call.callers and call.callers[0] != call.module)


@contextmanager
def recorded() -> Iterator[Journey]:
    """The calls that this asyncio task makes in the block, and those of the tasks that it starts there."""
    journey = Journey()

    def on_event(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and _recorded.get():
            journey.note(frame)

    token = _recorded.set(True)
    sys.setprofile(on_event)
    try:
        yield journey
    finally:
        sys.setprofile(None)
        _recorded.reset(token)


def _module_of(frame: FrameType) -> str | None:
    path = Path(frame.f_code.co_filename)
    if not path.is_relative_to(ROOT):
        return None
    relative = path.relative_to(ROOT)
    return str(relative) if relative.parts[0] in PACKAGES else None


def _callers_of(frame: FrameType) -> Iterator[str]:
    back = frame.f_back
    while back is not None:
        module = _module_of(back)
        if module is not None:
            yield module
        back = back.f_back
