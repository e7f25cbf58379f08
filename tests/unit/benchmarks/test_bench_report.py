"""The report of a run: the table for people, the JSON for programs."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from msgspec import structs
from rich.console import Console

from benchmarks.page import with_report
from benchmarks.report import Machine, Report, own_version
from benchmarks.series import Figure, Series
from benchmarks.table import number, rows_of, show
from benchmarks.targets import Verdict

FIGURE = Figure(
    name="pickup",
    title="Pick-up",
    subject="ours",
    key="p50",
    series=[
        Series(case="1 worker", system="ours", measure="p95", unit="ms", rounds=(4.0, 6.0)),
        Series(case="1 worker", system="ours", measure="p50", unit="ms", rounds=(1.0, 3.0), setting="as it comes"),
        Series(case="1 worker", system="slow", measure="p95", unit="ms", rounds=(400.0, 600.0)),
        Series(case="1 worker", system="slow", measure="p50", unit="ms", rounds=(100.0, 100.0)),
        Series(case="1 worker", system="gone", measure="p50", unit="ms", missing="not installed: no network"),
        Series(case="1 worker", system="gone", measure="p95", unit="ms", missing="not installed: no network"),
    ],
    notes=("One of each.",),
)
REPORT = Report(
    version=own_version(),
    started=datetime(2026, 3, 1, tzinfo=UTC),
    seconds=12.0,
    rounds=2,
    quick=False,
    machine=Machine.here(),
    verdicts=[Verdict(figure="pick-up", wanted="at most 3 ms", measured="2 (1-3) ms", holds=True)],
    figures=[FIGURE],
)


def test_a_row_has_the_ratio_then_the_key_measure_then_the_others() -> None:
    """The case is named once; ours has no ratio to itself."""
    ours, slow, _ = rows_of(FIGURE)

    assert ours == ["1 worker", "ours", "", "2.00 (1.00-3.00)", "5.00 (4.00-6.00)", "as it comes"]
    assert slow == ["", "slow", "0.02 (0.01-0.03)", "100", "500 (400-600)", ""]


def test_a_system_that_is_missing_is_in_the_table_with_the_reason() -> None:
    """It is not skipped silently."""
    assert rows_of(FIGURE)[-1] == ["", "gone", "", "", "", "missing: not installed: no network"]


def test_numbers_are_shown_with_the_digits_that_say_something() -> None:
    """Whole numbers from a hundred on."""
    assert [number(value) for value in (0.1234, 12.34, 123.4, 12345.6)] == ["0.12", "12.3", "123", "12,346"]


def test_the_table_names_the_machine_the_targets_and_the_notes() -> None:
    """What a reader needs to judge the numbers."""
    console = Console(width=200, record=True, file=None, quiet=False)
    with console.capture() as captured:
        show(REPORT, console)

    text = captured.get()
    for part in (f"{REPORT.machine.cores} cores", "at most 3 ms", "2 (1-3) ms", "yes", "One of each.", "not installed"):
        assert part in text


def test_the_json_has_the_rounds_and_what_follows_from_them() -> None:
    """Rounds, median, range and ratio of each series, and why one is missing."""
    reported = json.loads(REPORT.json())

    assert reported["verdicts"][0]["holds"] is True
    assert set(reported["machine"]) == {"cores", "processor", "memory_gib", "system", "python", "load"}
    series = {(each["system"], each["measure"]): each for each in reported["figures"][0]["series"]}
    assert series["slow", "p50"]["rounds"] == [100.0, 100.0]
    assert series["slow", "p50"]["spread"] == {"median": 100.0, "low": 100.0, "high": 100.0}
    assert series["slow", "p50"]["ratio"] == {"median": 0.02, "low": 0.01, "high": 0.03}
    assert series["gone", "p50"]["missing"] == "not installed: no network"
    assert series["gone", "p50"]["spread"] is None


PLACE = """Before.

<!-- The run: written by `python -m benchmarks.page`. -->
an earlier run
<!-- The end of the run. -->

After.
"""


def test_a_report_takes_the_place_of_the_one_before_in_the_page() -> None:
    """Only what is between the marks changes; doing it again changes nothing."""
    page = with_report(PLACE, REPORT)

    assert page.startswith("Before.\n")
    assert page.endswith("\nAfter.\n")
    assert "an earlier run" not in page
    assert with_report(page, REPORT) == page


def test_a_page_has_a_table_for_each_figure_and_says_what_was_set() -> None:
    """Ratios first; a system that is missing with the reason; what was set below."""
    lines = with_report(PLACE, REPORT).splitlines()

    assert "| pick-up | at most 3 ms | 2 (1-3) ms | yes |" in lines
    assert "|  |  | ours / it, p50 | p50, ms | p95, ms |" in lines
    assert "|  | slow | 0.02 (0.01-0.03) | 100 | 500 (400-600) |" in lines
    assert "|  | gone |  | missing: not installed: no network |  |" in lines
    assert "- ours: as it comes." in lines


@pytest.mark.parametrize(("load", "busy"), [(0.4, False), (4.0, True)])
def test_a_page_says_that_the_machine_was_busy(load: float, busy: bool) -> None:
    """Where others used more than a quarter of it."""
    machine = structs.replace(REPORT.machine, cores=2, load=load)

    page = with_report(PLACE, structs.replace(REPORT, machine=machine))

    assert ("Other work kept the machine busy" in page) is busy


def test_a_quick_run_is_not_put_into_a_page() -> None:
    """Its numbers are not to be quoted."""
    with pytest.raises(ValueError, match="quick"):
        with_report(PLACE, structs.replace(REPORT, quick=True))


def test_a_page_without_a_place_is_refused() -> None:
    """It is not written to its end or its beginning."""
    with pytest.raises(ValueError, match="no lines"):
        with_report("Before.\n", REPORT)


def test_a_kept_report_can_be_read_again() -> None:
    """What follows from the rounds is left out of what is read: it follows again."""
    assert msgspec.json.decode(REPORT.json(), type=Report).json() == REPORT.json()
