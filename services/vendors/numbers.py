"""Numbers in vendors' answers, read leniently: an unusable number is None, so that a result is not lost for a count."""

import math
from typing import Final

MAX_COUNT: Final = 2**53
"""Larger numbers are not exact in JSON and do not fit every store."""


def count(usage: object, name: str) -> int | None:
    """The whole number of that name in an object, or None where it is absent or unusable."""
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def number(value: object) -> float | None:
    """The value as a number, also where it is a text such as "8", or None where it is unusable."""
    if not isinstance(value, (int, float, str)) or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and 0 <= found <= MAX_COUNT else None
