"""Measurements: one number per round, with median, range and ratios."""

import statistics
from collections.abc import Sequence

from msgspec import Struct


class Spread(Struct, frozen=True, kw_only=True):
    """The median of rounds, and their range."""

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
        rounds: One number per round, in order.
        setting: The settings of the system.
        missing: The reason why there are no numbers.
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
        """Median and range of the rounds, or None if there are none."""
        return spread_of(self.rounds)


class Figure(Struct, frozen=True, kw_only=True):
    """
    One comparison of all systems.

    Attributes:
        subject: The system that the ratios are of: its number over the other's, round by round.
        key: The measure whose ratios are shown first.
        notes: What a reader has to know about it.
        broken: Whether the measurement failed.
    """

    name: str
    title: str
    subject: str
    key: str
    series: Sequence[Series]
    notes: Sequence[str] = ()
    broken: bool = False

    def find(self, case: str, system: str, measure: str) -> Series | None:
        """The series of that system, case and measure, or None."""
        wanted = (case, system, measure)
        return next((each for each in self.series if (each.case, each.system, each.measure) == wanted), None)

    def ratio(self, series: Series) -> Spread | None:
        """The subject's numbers divided by those of that series, round by round; None if either has none."""
        subject = self.find(series.case, self.subject, series.measure)
        return None if subject is None else ratio_of(subject.rounds, series.rounds)


def spread_of(values: Sequence[float]) -> Spread | None:
    """Median and range of the values, or None if there are none."""
    if not values:
        return None
    return Spread(median=statistics.median(values), low=min(values), high=max(values))


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> Spread | None:
    """Ours divided by theirs, for each round that both have; None if there is none, or theirs is zero."""
    return spread_of([one / other for one, other in zip(ours, theirs, strict=False) if other])


def percentile(values: Sequence[float], share: float) -> float:
    """
    The value that the given share of the values does not exceed.

    Raises:
        ValueError: There are no values.
    """
    if not values:
        raise ValueError("there is no percentile of no values")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
