"""The options of a run, which every figure gets."""

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct


class Bench(Struct, frozen=True, kw_only=True):
    """
    One run.

    Attributes:
        folder: For data and logs; deleted after the run.
        rounds: Number of rounds in which all systems take turns.
        quick: Measure less of everything: to check that it works, not for results.
        peers: Whether other systems are measured, too.
        say: Prints a progress message.
    """

    folder: Path
    rounds: int = 3
    quick: bool = False
    peers: bool = True
    say: Callable[[str], None] = lambda _: None
