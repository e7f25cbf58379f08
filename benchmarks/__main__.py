"""`make bench ONLY=pickup,drain ROUNDS=3 FORMAT=json QUICK=1`, or `python -m benchmarks --help`."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import uvloop
from rich.console import Console

from benchmarks import accept, drain, end_to_end, pick_up, reads, recovery, relay, waiting
from benchmarks.bench import Bench
from benchmarks.peers.installing import reason_in
from benchmarks.peers.queues import OURS
from benchmarks.report import Machine, Report, own_version
from benchmarks.series import Figure, Series
from benchmarks.table import show
from benchmarks.targets import verdicts

FIGURES: Final[Mapping[str, Callable[[Bench], Awaitable[Figure]]]] = {
    "accept": accept.measure,
    "pickup": pick_up.measure,
    "drain": drain.measure,
    "end_to_end": end_to_end.figure,
    "relay": relay.figure,
    "waiting": waiting.figure,
    "reads": reads.measure,
    "recovery": recovery.measure,
}
RESULTS: Final = Path(__file__).resolve().parent / "results"


def main() -> int:
    """
    Measure, print, and save the report as JSON.

    Exit code 1 if a figure failed: the others are saved, and the report gives the reason. 130 after Ctrl-C: nothing is
    saved.
    """
    options = _options()
    terminal = Console(stderr=True)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # the clients share the cores
            report = runner.run(_run(options, terminal))
    except KeyboardInterrupt:
        terminal.print("stopped")
        return 130
    text = report.json()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text)
    if options.format == "json":
        sys.stdout.write(text)
    else:
        show(report, Console(width=max(140, Console().width)))
    terminal.print(f"kept in {options.out}")
    return 1 if any(figure.broken for figure in report.figures) else 0


async def measured(name: str, measure: Callable[[Bench], Awaitable[Figure]], bench: Bench) -> Figure:
    """The figure, or one with the reason why it could not be measured."""
    try:
        return await measure(bench)
    except Exception as error:  # the failure of one figure must not discard the others, which take half an hour
        reason = reason_in(str(error) or type(error).__name__)
        bench.say(f"{name} failed: {reason}")
        missing = Series(case="", system=OURS, measure="nothing", unit="", missing=reason)
        return Figure(name=name, title=name, subject=OURS, key=missing.measure, series=[missing], broken=True)


async def _run(options: argparse.Namespace, terminal: Console) -> Report:
    started, began = datetime.now(UTC), time.monotonic()
    machine = Machine.here()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="polyrelay-bench-", ignore_cleanup_errors=True) as folder:
        for place, name in enumerate(options.only, start=1):

            def say(what: str, place: int = place) -> None:
                passed = time.monotonic() - began
                terminal.print(
                    f"[{passed:5.0f} s] {place} of {len(options.only)}: {what}", highlight=False, markup=False
                )

            bench = Bench(folder=Path(folder), rounds=options.rounds, quick=options.quick, peers=options.peers, say=say)
            figures.append(await measured(name, FIGURES[name], bench))
    return Report(
        version=own_version(),
        started=started,
        seconds=round(time.monotonic() - began, 1),
        rounds=options.rounds,
        quick=options.quick,
        machine=machine,
        verdicts=verdicts(figures),
        figures=figures,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the server and its peers.")
    parser.add_argument("--only", type=_names, default=list(FIGURES), metavar="NAMES", help=f"of {', '.join(FIGURES)}")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds in which all systems take turns (3)")
    parser.add_argument("--quick", action="store_true", help="measure less: to check that it works, not for results")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="measure this server only")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="on standard output")
    parser.add_argument("--out", type=Path, help="file for the JSON report (benchmarks/results/DATE.json)")
    options = parser.parse_args()
    options.out = options.out or RESULTS / f"{datetime.now(UTC):%Y-%m-%dT%H%M%S}.json"
    return options


def _names(text: str) -> Sequence[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in FIGURES]:
        raise argparse.ArgumentTypeError(f"there is no figure {', '.join(unknown)}; allowed: {', '.join(FIGURES)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
