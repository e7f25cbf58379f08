"""Waiting for what will come, never for time to pass."""

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
    picture: Callable[[], str] | None = None,
) -> T:
    """
    The predicate's first true answer.

    Args:
        predicate: Asked again and again.
        description: What is waited for, as it would be said when it is there: "the task is waiting".
        within_s: Longest wait, in seconds.
        picture: How things stand, for the one who reads the failure.

    Raises:
        AssertionError: It did not come; with the last answer and the picture.
    """
    until = time.monotonic() + within_s
    while not (answer := predicate()):
        if time.monotonic() > until:
            shown = f"\n{picture()}" if picture is not None else ""
            raise AssertionError(f"not within {within_s:g} s: {description} (last: {answer!r}){shown}")
        time.sleep(_PAUSE_S)
    return answer
