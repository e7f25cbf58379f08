"""Billing: whether a vendor may bill the attempts of a task."""

from typing import Final

from core.attempts import Attempt
from core.tasks import Task

_PERHAPS: Final = frozenset({"outcome_unknown", "generation_failed"})


def may_be_billed(task: Task) -> bool:
    """Whether a vendor may bill an attempt: one that it accepted, or whose outcome is not known (yet)."""
    return any(_may_be_billed(attempt) for attempt in task.attempts)


def _may_be_billed(attempt: Attempt) -> bool:
    open_or_taken = attempt.ended is None or attempt.accepted is not None
    return open_or_taken or (attempt.failure is not None and attempt.failure.code in _PERHAPS)
