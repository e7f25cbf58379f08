"""Gate rules: the numbers by which every adapter of `Gates` decides."""

from datetime import timedelta
from typing import Final

from msgspec import Struct

from core.priorities import WEIGHTS, Priority

CLASSES: Final = tuple(Priority)
"""The priority classes of a wait queue, in the order in which a tie of turns is broken."""


class GateRules(Struct, frozen=True, kw_only=True):
    """
    Numbers of the gates, the same for all workers.

    Attributes:
        weights: Turns of each class of `CLASSES` in a round, where all of them have waiting tasks.
        open_after: Successive failures to reach the vendor that open a circuit breaker.
        open_for: How long a circuit breaker stays open at first; doubled whenever the probe fails.
        open_for_most: The longest time that it stays open.
        probe_for: A probe that reports nothing within this time is given up, and another is let through.
        probe_check: While a probe is on its way, other tasks ask again after this time.
        wait_queue_check: A task in the wait queue of a full gate asks again after this time, in case its wake was lost.
        wait_queue_late: A task that asks later than that by this time is removed from the wait queue, and woken once
            when a slot is free.
        submit_interval_late: The same for a task that waits for the submit interval only.
        kept: Keys outlive their last use by this time; what was learned is forgotten then.
        most_wakes: Tasks of one gate that one operation wakes, at most.
        most_moves: Tasks that one operation moves from one gate's wait queue to another's, at most.
        most_expired: Tasks of one class that one operation removes from a wait queue, at most.
        most_positions: Positions in a wait queue are exact up to this one.
        unlearned_above: A learned limit above this number, and above `unlearned_times` the open submissions, is
            dropped: it limits nothing any more.
        unlearned_times: See `unlearned_above`.
    """

    weights: tuple[int, ...] = tuple(WEIGHTS[priority] for priority in CLASSES)
    open_after: int = 5
    open_for: timedelta = timedelta(seconds=30)
    open_for_most: timedelta = timedelta(minutes=5)
    probe_for: timedelta = timedelta(seconds=60)
    probe_check: timedelta = timedelta(seconds=5)
    wait_queue_check: timedelta = timedelta(minutes=5)
    wait_queue_late: timedelta = timedelta(minutes=5)
    submit_interval_late: timedelta = timedelta(seconds=10)
    kept: timedelta = timedelta(days=1)
    most_wakes: int = 100
    most_moves: int = 16
    most_expired: int = 8
    most_positions: int = 1000
    unlearned_above: int = 64
    unlearned_times: int = 10
