"""Prints a report as tables."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.report import Report
from benchmarks.series import Figure, Spread


def show(report: Report, console: Console) -> None:
    """Print the machine, then the targets, then each figure."""
    console.print(f"[bold]polyrelay {report.version}[/] on {report.machine.words}, {report.started:%Y-%m-%d %H:%M} UTC")
    if report.verdicts:
        console.print(_verdicts(report))
    for figure in report.figures:
        console.print(_figure(figure))
        for note in figure.notes:
            console.print(f"  {note}", style="dim")


def number(value: float) -> str:
    """The number with three significant digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values: Spread | None) -> str:
    """The median with the range, or the median alone if the range is zero."""
    if values is None:
        return ""
    if values.low == values.high:
        return number(values.median)
    return f"{number(values.median)} ({number(values.low)}-{number(values.high)})"


def measures_of(figure: Figure) -> Mapping[str, str]:
    """The measures with their units, the key measure first."""
    units = {series.measure: series.unit for series in figure.series}
    return {figure.key: units.pop(figure.key), **units}


def headings_of(figure: Figure) -> Sequence[str]:
    """The headings of the columns of `rows_of`."""
    measures = [f"{name}, {unit}" for name, unit in measures_of(figure).items()]
    return ["", "", f"{figure.subject} / it, {figure.key}", *measures, "set"]


def rows_of(figure: Figure) -> Sequence[Sequence[str]]:
    """For each case and system: both names, the ratio of the key measure, each measure, and the setting or reason."""
    measures = measures_of(figure)
    rows = []
    before = None
    for case, system in dict.fromkeys((each.case, each.system) for each in figure.series):
        found = {measure: figure.find(case, system, measure) for measure in measures}
        first = next(filter(None, found.values()))
        key = found[figure.key]
        ratio = "" if key is None or system == figure.subject else spread(figure.ratio(key))
        cells = ["" if series is None else spread(series.spread) for series in found.values()]
        setting = first.setting if first.missing is None else f"missing: {first.missing}"
        rows.append(["" if case == before else case, system, ratio, *cells, setting])
        before = case
    return rows


def _figure(figure: Figure) -> Table:
    table = Table(title=figure.title, title_justify="left", title_style="bold")
    for heading in headings_of(figure):
        table.add_column(heading, overflow="fold")
    for row in rows_of(figure):
        table.add_row(*row)
    return table


def _verdicts(report: Report) -> Table:
    table = Table(title="What it must show", title_justify="left", title_style="bold")
    for heading in ("figure", "wanted", "measured", ""):
        table.add_column(heading)
    for verdict in report.verdicts:
        mark = "not measured" if verdict.holds is None else "yes" if verdict.holds else "NO"
        table.add_row(verdict.figure, verdict.wanted, verdict.measured, mark)
    return table
