"""What the adapters of `Gates` go by."""

from datetime import timedelta
from typing import Final

from msgspec import Struct

from core.priorities import Priority

CLASSES: Final = (Priority.CRITICAL, Priority.DEFAULT, Priority.LOW)
"""The classes of a line, in the order in which a tie of turns is broken."""

WEIGHTS: Final = (6, 3, 1)
"""Turns of each class, in ten, where all of them have somebody."""


class GateRules(Struct, frozen=True, kw_only=True):
    """
    Numbers of the gates, the same for all workers.

    Attributes:
        open_after: So many "away" in a row open a circuit.
        open_for: How long at first; doubled whenever the probe fails.
        open_for_most: And never longer.
        probe_for: A probe that tells nothing for so long is given up, and another is let through.
        probe_check: While a probe is on its way, the others ask again after so long.
        line_check: A task in the line of a full gate asks again after so long, in case its wake was lost.
        line_late: Who is later than that loses the place, and is woken when it would have been its turn.
        spacing_late: The same for a task that waits for the spacing only.
        kept: Keys are kept so long after their last use; what was learned is forgotten then.
    """

    open_after: int = 5
    open_for: timedelta = timedelta(seconds=30)
    open_for_most: timedelta = timedelta(minutes=5)
    probe_for: timedelta = timedelta(seconds=60)
    probe_check: timedelta = timedelta(seconds=5)
    wait_queue_check: timedelta = timedelta(minutes=5)
    wait_queue_late: timedelta = timedelta(minutes=5)
    submit_interval_late: timedelta = timedelta(seconds=10)
    kept: timedelta = timedelta(days=1)


def pacer_of(account: str) -> str:
    """The line, named like a gate, of those who wait for an account's spacing only."""
    return f"spacing:{account}"
