"""
Random ids of tasks and audit rows.

Random bits are drawn from the system in advance: each draw is a system call, which costs more than the id.
"""

import os
from collections import deque
from datetime import datetime
from typing import Final

_DRAWN_BYTES: Final = 16
_DRAWN_AT_ONCE: Final = 256

_drawn: deque[str] = deque()
os.register_at_fork(after_in_child=_drawn.clear)  # otherwise forked processes would return the same ids


def random_hex(count: int) -> str:
    """`count` random bytes in hex, at most 16, as unpredictable as those of the system."""
    try:
        return _drawn.pop()[: 2 * count]
    except IndexError:
        text = os.urandom(_DRAWN_BYTES * _DRAWN_AT_ONCE).hex()
        width = 2 * _DRAWN_BYTES
        _drawn.extend(text[start : start + width] for start in range(width, len(text), width))
        return text[: 2 * count]


def new_task_id(now: datetime) -> str:
    """An id that sorts by time and cannot be guessed: the millisecond, then 80 random bits."""
    return f"task_{int(now.timestamp() * 1000):012x}{random_hex(10)}"


def new_row_id(now: datetime) -> str:
    """An id of an audit row that sorts by time: the millisecond, then 64 random bits."""
    return f"{row_ids_from(now)}{random_hex(8)}"


def row_ids_from(moment: datetime) -> str:
    """The prefix of the ids of audit rows of that moment; it sorts before them."""
    return f"audit_{int(moment.timestamp() * 1000):012x}"
