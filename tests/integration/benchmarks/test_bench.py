"""The benchmark runs: everything started, measured for a moment, told and stopped."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_a_figure_is_measured_told_and_kept(tmp_path: Path) -> None:
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


def test_an_unknown_figure_is_refused_with_those_that_there_are() -> None:
    """Before anything starts."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--only", "speed"], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 2
    assert "there is no figure speed; allowed: accept, pickup, drain" in done.stderr
