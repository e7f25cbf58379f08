"""Clock and random source. Times are aware UTC in whole milliseconds, the resolution of MongoDB."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]
"""Now, aware UTC, in whole milliseconds."""

RandomSource: TypeAlias = Callable[[], float]
"""A random number from 0.0 up to, but not including, 1.0."""


def utc_now() -> datetime:
    """The current time in UTC, rounded down to the millisecond."""
    return to_milliseconds(datetime.now(UTC))


def unix_ms(moment: datetime) -> int:
    """A moment in milliseconds since 1970, UTC."""
    return round(moment.timestamp() * 1_000_000) // 1000  # whole microseconds are exact in a float


def to_milliseconds(moment: datetime) -> datetime:
    """The time, rounded down to the millisecond."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
