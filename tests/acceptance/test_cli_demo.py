"""Tests of `polyrelay demo` as a process."""

import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import av
from PIL import Image

from cli.embedded.processes import own_environment


def demo(folder: Path, *args: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "cli", "demo", *args],
        cwd=folder,
        env=own_environment({"PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder), **environment}),
        capture_output=True,
        text=True,
        timeout=110,
    )


def test_the_demo_saves_an_image_a_video_and_a_text(tmp_path: Path) -> None:
    """It exits with 0 and reports three valid files of those types; it leaves no other file."""
    (tmp_path / ".env").write_text("PORT=1\nMONGO_URL=mongodb://nowhere.invalid/x\nARK_API_KEY=real\n")

    done = demo(tmp_path, "--out", "results", "--format", "json", OPENAI_API_KEY="real", LOG_LEVEL="error")

    assert done.returncode == 0, done.stderr
    files = {result["type"]: Path(result["file"]) for result in json.loads(done.stdout)["results"]}
    picture = Image.open(io.BytesIO(files["image"].read_bytes()))
    picture.load()
    assert (picture.width, picture.height) == (2048, 2048)
    with av.open(str(files["video"])) as video:
        assert next(video.decode(video=0)).width > 0
    assert files["video"].read_bytes()[4:8] == b"ftyp"
    assert files["text"].read_text("utf-8").strip()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".env", "results"]


def test_the_demo_prints_its_progress(tmp_path: Path) -> None:
    """Without a terminal each change is a line, and the last lines name the saved files."""
    done = demo(tmp_path)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert sum("completed" in line for line in lines) == 3
    assert [Path(line.split()[1]).parent.name for line in lines if line.startswith("saved")] == ["demo-results"] * 3


def test_ctrl_c_stops_the_demo_and_cleans_up(tmp_path: Path) -> None:
    """The exit code is 130; no process and no temporary folder is left."""
    running = subprocess.Popen(
        [sys.executable, "-P", "-m", "cli", "demo"],
        cwd=tmp_path,
        env=own_environment({"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert running.stdout is not None
    assert "starting" in running.stdout.readline()
    assert "ready" in running.stdout.readline()

    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=60)

    assert running.returncode == 130, output
    assert [path.name for path in tmp_path.iterdir()] == ["demo-results"]
    assert not [link for link in Path("/proc").glob("[0-9]*/cwd") if str(tmp_path) in _target(link)]


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def test_a_demo_that_cannot_save_fails_before_it_starts(tmp_path: Path) -> None:
    """If the results cannot be written it exits with 1 and the reason, and starts no server."""
    (tmp_path / "taken").write_text("a file")

    done = demo(tmp_path, "--out", "taken/deeper")

    assert done.returncode == 1
    assert "taken" in done.stderr
    assert "Traceback" not in done.stderr
    assert "starting" not in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
