"""Time as the server keeps it: aware UTC, whole milliseconds, because MongoDB stores no finer."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]
"""Now, aware UTC, in whole milliseconds."""

RandomSource: TypeAlias = Callable[[], float]
"""A random number from 0.0 up to 1.0."""


def utc_now() -> datetime:
    """Now, cut to the millisecond."""
    return to_milliseconds(datetime.now(UTC))


def to_milliseconds(moment: datetime) -> datetime:
    """The same moment, cut to the millisecond."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
