"""Random bits for ids, drawn from the system in advance: each draw is a system call, which costs more than the id."""

import os
from collections import deque
from typing import Final

_DRAWN_BYTES: Final = 16
_DRAWN_AT_ONCE: Final = 256

_drawn: deque[str] = deque()
os.register_at_fork(after_in_child=_drawn.clear)  # else a forked process would give out the same


def random_hex(count: int) -> str:
    """So many random bytes in hex, at most 16, as unpredictable as those of the system."""
    try:
        return _drawn.pop()[: 2 * count]
    except IndexError:
        text = os.urandom(_DRAWN_BYTES * _DRAWN_AT_ONCE).hex()
        width = 2 * _DRAWN_BYTES
        _drawn.extend(text[start : start + width] for start in range(width, len(text), width))
        return text[: 2 * count]
