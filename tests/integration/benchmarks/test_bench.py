"""The benchmark runs: everything started, measured for a moment, told and stopped."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_a_figure_is_measured_reported_and_kept(tmp_path: Path) -> None:
    """The quickest one of ours, with both engines; the report is on standard output and in the file."""
    out = tmp_path / "report.json"
    command = [sys.executable, "-m", "benchmarks", "--only", "pickup", "--quick", "--no-peers", "--rounds", "1"]

    done = subprocess.run([*command, "--format", "json", "--out", str(out)], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert out.read_text() == done.stdout
    (figure,) = json.loads(done.stdout)["figures"]
    assert {series["system"] for series in figure["series"]} == {"polyrelay", "polyrelay, arq engine"}
    assert all(series["rounds"][0] > 0 for series in figure["series"])
    assert "pick-up: round 1 of 1, polyrelay" in done.stderr


def test_a_run_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C stops all that was started, removes the data, and keeps no report."""
    out = tmp_path / "report.json"
    command = [sys.executable, "-m", "benchmarks", "--only", "pickup", "--no-peers", "--out", str(out)]

    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, stderr=subprocess.PIPE, text=True
    ) as run:
        reported = iter(run.stderr or ())
        assert any("round 1 of 3" in line for line in reported)
        run.send_signal(signal.SIGINT)
        rest = "".join(reported)

    assert (run.returncode, rest.splitlines()[-1]) == (130, "stopped")
    assert not any(tmp_path.iterdir())
    assert processes_with(f"BENCH_OUT={tmp_path}") == []


def processes_with(variable: str) -> list[str]:
    """The processes whose environment has a variable that begins so."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            found += [path.parent.name] * (variable.encode() in path.read_bytes())
    return found


def test_an_unknown_figure_is_refused_with_those_that_there_are() -> None:
    """Before anything starts."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--only", "speed"], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 2
    assert "there is no figure speed; allowed: accept, pickup, drain" in done.stderr
