"""What every figure is given to measure with."""

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct


class Bench(Struct, frozen=True, kw_only=True):
    """
    One run.

    Attributes:
        folder: For data and logs; removed after the run.
        rounds: How often all systems take turns.
        quick: Measure less of everything: to see that it works, not for numbers.
        peers: Whether others are measured beside us.
        say: Tells people what is being done.
    """

    folder: Path
    rounds: int = 3
    quick: bool = False
    peers: bool = True
    say: Callable[[str], None] = lambda _: None
