"""Durations and sizes with units, as in settings: "30s", "20MiB"."""

import re
from typing import Final

_SECONDS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES: Final = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_AMOUNT: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)


def seconds(text: str) -> float:
    """
    Convert a duration such as "300", "500ms", "30s", "5m", "1h" or "1d" to seconds.

    Raises:
        ValueError: The text is not a duration; says what is allowed.
    """
    amount, unit = _split(text)
    if amount is None or unit not in _SECONDS:
        raise ValueError("a duration such as 30s, 5m, 1h or 300 (seconds)")
    return amount * _SECONDS[unit]


def size_bytes(text: str) -> int:
    """
    Convert a size such as "20MiB", "512KiB" or "1048576" to bytes.

    Raises:
        ValueError: The text is not a size; says what is allowed.
    """
    amount, unit = _split(text)
    if amount is None or unit not in _BYTES:
        raise ValueError("a size such as 20MiB, 512KiB or 1048576 (bytes)")
    return int(amount * _BYTES[unit])


def _split(text: str) -> tuple[float | None, str]:
    match = _AMOUNT.fullmatch(text)
    return (float(match[1]), match[2].lower()) if match else (None, "")
