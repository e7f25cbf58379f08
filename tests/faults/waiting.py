"""Waiting for a condition."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE_S = 0.03


def wait_until(
    predicate: Callable[[], T],
    *,
    description: str,
    within_s: float = 20.0,
    summary: Callable[[], str] | None = None,
) -> T:
    """
    Call the predicate until its value is true; returns that value.

    Args:
        predicate: The condition.
        description: The condition in words, such as "the task is waiting".
        within_s: Longest wait, in seconds.
        summary: Makes a text about the state of the stack for the failure's message.

    Raises:
        AssertionError: The condition was not true in time; with its last value and the summary.
    """
    until = time.monotonic() + within_s
    while not (value := predicate()):
        if time.monotonic() > until:
            shown = f"\n{summary()}" if summary is not None else ""
            raise AssertionError(f"not within {within_s:g} s: {description} (last: {value!r}){shown}")
        time.sleep(_PAUSE_S)
    return value
