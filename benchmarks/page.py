"""Writes a report into its page of the docs: `python -m benchmarks.page benchmarks/results/DATE.json`."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.report import Report
from benchmarks.series import Figure
from benchmarks.table import headings_of, rows_of

PAGE: Final = Path(__file__).resolve().parents[1] / "docs/explanation/performance.md"

_BEGIN: Final = "<!-- The run: written by `python -m benchmarks.page`. -->\n"
_END: Final = "<!-- The end of the run. -->\n"


def main() -> None:
    """Replace the report on the page."""
    report = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Report)
    PAGE.write_text(with_report(PAGE.read_text("utf-8"), report), "utf-8")


def with_report(page: str, report: Report) -> str:
    """
    The page with that run instead of the one that it has.

    Raises:
        ValueError: The page has no markers for a report, or the run was a quick one.
    """
    if report.quick:
        raise ValueError("a quick run measures too little to be published")
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"the page has no lines {_BEGIN.strip()!r} and {_END.strip()!r}")
    return before + begin + "\n".join(_lines(report)) + "\n" + end + after


def _lines(report: Report) -> Iterator[str]:
    yield ""
    rounds = f"{report.rounds} round{'s' * (report.rounds != 1)}"
    yield f"Measured on {report.started:%Y-%m-%d} with polyrelay {report.version}: {rounds} on {report.machine.words}."
    if report.machine.busy:
        yield "Other work kept the machine busy: no number is what it would be on a quiet one, and ratios are rough."
    yield ""
    yield from _table(
        ("What it must show", "wanted", "measured", "holds"),
        [(each.figure, each.wanted, each.measured, _mark(each.holds)) for each in report.verdicts],
    )
    for figure in report.figures:
        yield ""
        yield from _figure(figure)
    yield ""


def _figure(figure: Figure) -> Iterator[str]:
    yield f"### {figure.title}"
    yield ""
    rows = rows_of(figure)
    yield from _table(headings_of(figure)[:-1], [_with_reason(row) for row in rows])
    settings = dict.fromkeys((each.system, each.setting) for each in figure.series if each.setting)
    remarks = [*figure.notes, *(f"{system}: {setting}." for system, setting in settings)]
    if remarks:
        yield ""
        yield from (f"- {remark}" for remark in remarks)


def _with_reason(row: Sequence[str]) -> Sequence[str]:
    """The row without the setting; the reason for a missing measurement replaces the key measure."""
    *cells, last = row
    return [*cells[:3], last, *cells[4:]] if last.startswith("missing: ") else cells


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield "|---" * len(headings) + "|"
    for row in rows:
        yield f"| {' | '.join(' '.join(cell.split()).replace('|', '/') for cell in row)} |"


def _mark(holds: bool | None) -> str:
    return {None: "", True: "yes", False: "**no**"}[holds]


if __name__ == "__main__":
    main()
