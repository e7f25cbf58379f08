"""Command line of the chaos run: `make chaos SECONDS=180 SEED=7 FORMAT=json`, or `python -m tests.chaos --help`."""

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

from tests.chaos.report import explained
from tests.chaos.run import Options, run


def main() -> int:
    """Do a run and print its report; the exit code is 1 if an invariant is violated."""
    arguments = _arguments()
    options = Options(seconds=arguments.seconds, seed=arguments.seed, rate=arguments.rate, workers=arguments.workers)
    folder = Path(arguments.folder or tempfile.mkdtemp(prefix="polyrelay-chaos-"))
    print(
        f"seed {options.seed}, {options.seconds:g} s, {options.rate:g} tasks a second; logs in {folder}/logs",
        file=sys.stderr,
    )
    outcome = asyncio.run(run(options, folder))
    report = outcome.report
    print(report.json() if arguments.format == "json" else report.table(), flush=True)
    if report.violations:
        print(explained(report.violations, outcome.evidence, report.log), file=sys.stderr)
    return 1 if report.violations else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description="Inject faults under load, then check the invariants."
    )
    parser.add_argument("--seconds", type=float, default=180.0, help="how long faults are injected")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--rate", type=float, default=6.0, help="tasks a second")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--folder", help="folder for data and logs; by default a new one")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
