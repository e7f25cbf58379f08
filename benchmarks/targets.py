"""Performance targets of the figures, as ratios within one run where possible."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from benchmarks.end_to_end import WORKERS
from benchmarks.peers.queues import OURS
from benchmarks.series import Figure, Spread, ratio_of, spread_of


class Verdict(Struct, frozen=True, kw_only=True):
    """
    Whether a figure meets its target.

    Attributes:
        measured: The median with its range, or the reason why there is none.
        holds: Whether the median meets the target; None if it was not measured.
    """

    figure: str
    wanted: str
    measured: str
    holds: bool | None


class Target(Struct, frozen=True, kw_only=True):
    """
    A target of a figure.

    Attributes:
        name: Its description.
        figure: The name of the figure.
        bound: The limit for the median.
        at_least: Whether the median must be at least the limit, or else at most.
        unit: The unit of the limit; empty for a ratio.
        of: Computes the value that is compared with the limit.
    """

    name: str
    figure: str
    bound: float
    at_least: bool
    of: Callable[[Figure], Spread | None]
    unit: str = ""

    def judged(self, figures: Mapping[str, Figure]) -> Verdict:
        """The verdict of a run on the target."""
        figure = figures.get(self.figure)
        found = None if figure is None else self.of(figure)
        wanted = f"at {'least' if self.at_least else 'most'} {self.bound:g} {self.unit}".strip()
        if found is None:
            return Verdict(figure=self.name, wanted=wanted, measured="", holds=None)
        holds = found.median >= self.bound if self.at_least else found.median <= self.bound
        measured = f"{found.median:.3g} ({found.low:.3g}-{found.high:.3g}) {self.unit}".strip()
        return Verdict(figure=self.name, wanted=wanted, measured=measured, holds=holds)


def ratio_to(case: str, system: str, measure: str) -> Callable[[Figure], Spread | None]:
    """The subject's number divided by that system's."""

    def found(figure: Figure) -> Spread | None:
        series = figure.find(case, system, measure)
        return None if series is None else figure.ratio(series)

    return found


def number_of(case: str, measure: str, system: str = OURS) -> Callable[[Figure], Spread | None]:
    """The subject's number."""

    def found(figure: Figure) -> Spread | None:
        series = figure.find(case, system, measure)
        return None if series is None else series.spread

    return found


def more_than(case: str, system: str, measure: str) -> Callable[[Figure], Spread | None]:
    """The subject's number minus that system's, round by round."""

    def found(figure: Figure) -> Spread | None:
        ours, theirs = figure.find(case, figure.subject, measure), figure.find(case, system, measure)
        if ours is None or theirs is None:
            return None
        return spread_of([one - other for one, other in zip(ours.rounds, theirs.rounds, strict=False)])

    return found


def growth(case: str, before: str, measure: str) -> Callable[[Figure], Spread | None]:
    """The subject's number in a case divided by that in the preceding case."""

    def found(figure: Figure) -> Spread | None:
        one, other = figure.find(case, figure.subject, measure), figure.find(before, figure.subject, measure)
        return None if one is None or other is None else ratio_of(one.rounds, other.rounds)

    return found


def worst_ratio(measure: str) -> Callable[[Figure], Spread | None]:
    """The highest of the medians of all cases' ratios."""

    def found(figure: Figure) -> Spread | None:
        others = [each for each in figure.series if each.measure == measure and each.system != figure.subject]
        ratios = [ratio for each in others if (ratio := figure.ratio(each))]
        return max(ratios, key=lambda ratio: ratio.median, default=None)

    return found


TARGETS: Final = (
    Target(
        name="durable accept / bare echo, 64 connections",
        figure="accept",
        bound=0.70,
        at_least=True,
        of=ratio_to("64 connections", "bare echo", "rate"),
    ),
    Target(
        name="one create on an idle server, p50 over the bare echo",
        figure="accept",
        bound=4,
        at_least=False,
        unit="ms",
        of=more_than("1 connection", "bare echo", "p50"),
    ),
    Target(name="pick-up, p50", figure="pickup", bound=3, at_least=False, unit="ms", of=number_of("1 worker", "p50")),
    Target(
        name="pick-up, p50, to SAQ", figure="pickup", bound=1.5, at_least=False, of=ratio_to("1 worker", "SAQ", "p50")
    ),
    Target(
        name="drain, 1 worker, to taskiq",
        figure="drain",
        bound=1,
        at_least=True,
        of=ratio_to("1 worker", "taskiq", "rate"),
    ),
    Target(
        name="drain, 2 workers / 1",
        figure="drain",
        bound=1.5,
        at_least=True,
        of=growth("2 workers", "1 worker", "rate"),
    ),
    Target(
        name="end to end",
        figure="end_to_end",
        bound=400,
        at_least=True,
        unit="tasks/s",
        of=number_of(f"{WORKERS} workers", "rate"),
    ),
    Target(
        name="10,000 waiting tasks in one worker, memory",
        figure="waiting",
        bound=300,
        at_least=False,
        unit="MB",
        of=number_of("1 worker", "most_rss"),
    ),
    Target(
        name="10,000 waiting tasks in one worker, p95 lateness",
        figure="waiting",
        bound=1000,
        at_least=False,
        unit="ms",
        of=number_of("1 worker", "p95"),
    ),
    Target(
        name="tasks that an unchanged poll writes",
        figure="waiting",
        bound=0,
        at_least=False,
        of=number_of("1 worker", "written"),
    ),
    Target(
        name="reads at 1,000,000 / 1,000 tasks, p95, the worst",
        figure="reads",
        bound=2,
        at_least=False,
        of=worst_ratio("p95"),
    ),
)


def verdicts(figures: Sequence[Figure]) -> Sequence[Verdict]:
    """The verdict of a run on each target whose figure it measured."""
    by_name = {figure.name: figure for figure in figures}
    return [target.judged(by_name) for target in TARGETS if target.figure in by_name]
