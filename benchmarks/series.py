"""What was measured: one number a round, and what follows from the rounds."""

import statistics
from collections.abc import Sequence

from msgspec import Struct


class Spread(Struct, frozen=True, kw_only=True):
    """The middle of some rounds, and their range."""

    median: float
    low: float
    high: float


class Series(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One number of one system in one case of a figure.

    Attributes:
        case: Such as "2 workers"; empty where there is only one.
        system: Such as "SAQ".
        measure: Such as "p50".
        unit: Such as "ms".
        rounds: One number a round, in order.
        setting: What was set.
        missing: Why there are no numbers.
    """

    case: str
    system: str
    measure: str
    unit: str
    rounds: Sequence[float] = ()
    setting: str = ""
    missing: str | None = None

    @property
    def spread(self) -> Spread | None:
        """Of the rounds, or None where there are none."""
        return spread_of(self.rounds)


class Figure(Struct, frozen=True, kw_only=True):
    """
    One thing that was measured, for all systems in turns.

    Attributes:
        subject: The system that the ratios are of: its number over the other's, round by round.
        key: The measure whose ratios are shown first.
        notes: What a reader has to know to read it.
        broken: Whether it could not be measured to its end.
    """

    name: str
    title: str
    subject: str
    key: str
    series: Sequence[Series]
    notes: Sequence[str] = ()
    broken: bool = False

    def find(self, case: str, system: str, measure: str) -> Series | None:
        """That series, or None."""
        wanted = (case, system, measure)
        return next((each for each in self.series if (each.case, each.system, each.measure) == wanted), None)

    def ratio(self, series: Series) -> Spread | None:
        """The subject's numbers over that series', round by round; None where either has none."""
        subject = self.find(series.case, self.subject, series.measure)
        return None if subject is None else ratio_of(subject.rounds, series.rounds)


def spread_of(values: Sequence[float]) -> Spread | None:
    """Their median and range, or None of nothing."""
    if not values:
        return None
    return Spread(median=statistics.median(values), low=min(values), high=max(values))


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> Spread | None:
    """Ours over theirs, of each round that both have; None where there is none, or theirs is zero."""
    return spread_of([one / other for one, other in zip(ours, theirs, strict=False) if other])


def percentile(values: Sequence[float], share: float) -> float:
    """
    The value that so large a share of the values does not exceed.

    Raises:
        ValueError: There are no values.
    """
    if not values:
        raise ValueError("there is no percentile of nothing")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
