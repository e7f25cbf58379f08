"""
Random ids of tasks and audit rows.

Random bytes are read from the system in blocks: a system call for each id would cost more than the id.
"""

import os
from collections import deque
from datetime import datetime
from typing import Final

_ID_BYTES: Final = 16
_IDS_PER_READ: Final = 256

_ready: deque[str] = deque()
os.register_at_fork(after_in_child=_ready.clear)  # otherwise forked processes would return the same ids


def random_hex(count: int) -> str:
    """Return `count` random bytes from the system in hex; `count` is at most 16."""
    try:
        return _ready.pop()[: 2 * count]
    except IndexError:
        text = os.urandom(_ID_BYTES * _IDS_PER_READ).hex()
        width = 2 * _ID_BYTES
        _ready.extend(text[start : start + width] for start in range(width, len(text), width))
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
