"""What follows from the rounds of a measurement."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.series import Figure, Series, Spread, percentile, ratio_of, spread_of
from benchmarks.targets import Target, growth, more_than, number_of, ratio_to, verdicts, worst_ratio

RATES = {"ours": (100.0, 300.0, 200.0), "theirs": (50.0, 100.0, 400.0)}


def figure(**rounds: tuple[float, ...]) -> Figure:
    """One case in which systems have those rates."""
    series = [Series(case="1", system=name, measure="rate", unit="x/s", rounds=each) for name, each in rounds.items()]
    return Figure(name="drain", title="Drain", subject="ours", key="rate", series=series)


def test_a_spread_is_the_median_and_the_range() -> None:
    """Of nothing there is none."""
    assert spread_of([3.0, 1.0, 2.0]) == Spread(median=2.0, low=1.0, high=3.0)
    assert spread_of([]) is None


def test_a_ratio_compares_numbers_of_the_same_round() -> None:
    """What disturbed a round disturbed both: medians are taken of the ratios, not ratios of medians."""
    assert ratio_of(RATES["ours"], RATES["theirs"]) == Spread(median=2.0, low=0.5, high=3.0)


def test_a_ratio_of_what_was_not_measured_is_none() -> None:
    """A system that failed in its first round, or measured nothing, has no ratio."""
    assert ratio_of([1.0], []) is None
    assert ratio_of([1.0], [0.0]) is None


def test_a_system_that_failed_later_is_compared_in_the_rounds_it_has() -> None:
    """The other rounds are left out."""
    assert ratio_of([2.0, 9.0], [1.0]) == Spread(median=2.0, low=2.0, high=2.0)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_a_percentile_is_one_of_the_values_and_grows_with_its_share(values: list[float], share: float) -> None:
    """From the least to the greatest."""
    found = percentile(values, share)

    assert found in values
    assert percentile(values, 0.0) == min(values) <= found <= percentile(values, 1.0) == max(values)


def test_there_is_no_percentile_of_no_values() -> None:
    """It is an error, not a zero that looks fast."""
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


@pytest.mark.parametrize(("bound", "at_least", "holds"), [(2.0, True, True), (2.1, True, False), (2.0, False, True)])
def test_a_target_is_judged_by_the_median(bound: float, at_least: bool, holds: bool) -> None:
    """The bound itself is good enough."""
    target = Target(name="t", figure="drain", bound=bound, at_least=at_least, of=ratio_to("1", "theirs", "rate"))

    verdict = target.judged({"drain": figure(**RATES)})

    assert verdict.holds is holds
    assert verdict.measured == "2 (0.5-3)"


def test_a_target_whose_system_is_missing_is_not_judged() -> None:
    """Neither held nor broken."""
    target = Target(name="t", figure="drain", bound=1, at_least=True, of=ratio_to("1", "theirs", "rate"))

    assert target.judged({"drain": figure(ours=(1.0,), theirs=())}).holds is None
    assert target.judged({"drain": figure(ours=(1.0,))}).holds is None


def test_targets_of_figures_that_were_not_wanted_are_left_out() -> None:
    """A run of some figures says nothing about the others."""
    assert {verdict.figure for verdict in verdicts([figure(**RATES)])} == {
        "drain, 1 worker, to taskiq",
        "drain, 2 workers / 1",
    }


def test_numbers_differences_growth_and_the_worst_are_taken_from_a_figure() -> None:
    """Each round by round."""
    found = figure(**RATES)
    two = Series(case="2", system="ours", measure="rate", unit="x/s", rounds=(200.0, 300.0, 100.0))
    slow = Series(case="2", system="theirs", measure="rate", unit="x/s", rounds=(20.0, 30.0, 10.0))
    both = Figure(name="drain", title="", subject="ours", key="rate", series=[*found.series, two, slow])

    assert number_of("1", "rate", "ours")(found) == spread_of(RATES["ours"])
    assert more_than("1", "theirs", "rate")(found) == spread_of([50.0, 200.0, -200.0])
    assert growth("2", "1", "rate")(both) == spread_of([2.0, 1.0, 0.5])
    assert worst_ratio("rate")(both) == spread_of([10.0, 10.0, 10.0])
