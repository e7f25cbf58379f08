"""Amounts with units, as people write them in settings."""

import re
from typing import Final

_SECONDS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES: Final = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_AMOUNT: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)


def seconds(text: str) -> float:
    """
    A duration: "300", "30s", "5m", "1h".

    Raises:
        ValueError: With a text that says what is allowed.
    """
    amount, unit = _split(text)
    if amount is None or unit not in _SECONDS:
        raise ValueError("a duration such as 30s, 5m, 1h or 300 (seconds)")
    return amount * _SECONDS[unit]


def size_bytes(text: str) -> int:
    """
    A size: "20MiB", "512KiB", "1048576".

    Raises:
        ValueError: With a text that says what is allowed.
    """
    amount, unit = _split(text)
    if amount is None or unit not in _BYTES:
        raise ValueError("a size such as 20MiB, 512KiB or 1048576 (bytes)")
    return int(amount * _BYTES[unit])


def _split(text: str) -> tuple[float | None, str]:
    match = _AMOUNT.fullmatch(text)
    return (float(match[1]), match[2].lower()) if match else (None, "")
