"""Tests of `polyrelay dev` as a process, with real signals."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.embedded.ports import free_port
from cli.embedded.processes import own_environment
from polyrelay.client import Client, TaskView

TASK = {"provider": "volcengine", "model": "jimeng_t2i_v40", "user_id": "me", "prompt": "a fox"}
ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("polyrelay", "core", "services", "providers", "repositories", "api", "worker", "cli", "simulator")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


class Dev:
    """A running `polyrelay dev`."""

    def __init__(self, folder: Path, *args: str, **environment: str) -> None:
        self.port = free_port()
        source = environment.pop("PYTHONPATH", None)
        self.output = folder / f"dev-{self.port}.out"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "cli", "dev", "--port", str(self.port), *args],
                cwd=folder,
                env=own_environment({"PATH": "/usr/bin:/bin", "HOME": str(folder), "POLL_SCALE": "0.1", **environment})
                | ({"PYTHONPATH": source} if source else {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def printed(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_for(self, pattern: str) -> "re.Match[str]":
        """Wait until its output matches the pattern; returns the first match."""
        wait_until(
            lambda: re.search(pattern, self.printed) is not None or self.process.poll() is not None,
            description=lambda: f"{pattern!r} in\n{self.printed}",
        )
        found = re.search(pattern, self.printed)
        assert found is not None, self.printed
        return found

    def descendants(self) -> list[int]:
        """The process id of it and of all its descendants."""
        return [self.process.pid, *descendants_of(self.process.pid)]

    def end(self) -> None:
        """Kill it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@contextmanager
def dev(folder: Path, *args: str, **environment: str) -> Iterator[Dev]:
    running = Dev(folder, *args, **environment)
    try:
        yield running
    finally:
        running.end()


def wait_until(predicate: Callable[[], bool], *, description: Callable[[], str] | str, within_s: float = 75.0) -> None:
    until = time.monotonic() + within_s
    while not predicate():
        if time.monotonic() > until:
            pytest.fail(f"not within {within_s} s: {description if isinstance(description, str) else description()}")
        pause(0.05)


def pause(seconds: float) -> None:
    """Wait without `time.sleep` between two checks of a condition."""
    signal.sigtimedwait([], seconds)


def parents() -> dict[int, int]:
    """The parent of each running process."""
    found: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            found[int(stat.parent.name)] = int(parent)
    return found


def descendants_of(pid: int) -> list[int]:
    tree = parents()
    direct = [child for child, parent in tree.items() if parent == pid]
    return [*direct, *(deeper for child in direct for deeper in descendants_of(child))]


def all_ended(pids: list[int]) -> bool:
    return not set(pids) & set(parents())


def image_task(url: str) -> TaskView:
    """Create an image task and wait for its end."""
    with Client(url) as relay:
        return relay.wait(relay.create("image", **TASK).task_id, 60)


@LINUX
def test_dev_serves_and_ctrl_c_ends_all_processes_and_keeps_the_data(tmp_path: Path) -> None:
    """A task completes; Ctrl-C ends every process with exit code 0; the next `dev` has the task and its file."""
    with dev(tmp_path, API_PROCESSES="2") as first:
        first.wait_for(r"ready +http")
        task = image_task(first.url)
        assert task.status == "completed"
        processes = first.descendants()
        assert len(processes) >= 7

        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(timeout=30) == 0
        wait_until(lambda: all_ended(processes), description="every process ended", within_s=5)
        assert re.search(r"^worker-1 +\| .*task_completed", first.printed, re.MULTILINE)
        assert re.search(r"Ark.*simulator", first.printed)
        assert f"curl -s {first.url}/api/v1/ai/image/task" in first.printed

    with dev(tmp_path) as second:
        second.wait_for(r"ready +http")
        with Client(second.url) as relay:
            again = relay.get(task.task_id)
            saved = relay.save(again, tmp_path / "saved")
        assert again.status == "completed"
        assert saved[0].stat().st_size > 1000


@LINUX
def test_all_processes_end_with_a_killed_dev_and_its_folder_can_be_used_again(tmp_path: Path) -> None:
    """After `kill -9` of the parent no process and no lock is left, and the next `dev` has the data."""
    with dev(tmp_path) as first:
        first.wait_for(r"ready +http")
        task = image_task(first.url)
        processes = first.descendants()
        first.process.kill()
        first.process.wait()

        with dev(tmp_path) as second:
            second.wait_for(r"ready +http")
            with Client(second.url) as relay:
                assert relay.get(task.task_id).status == "completed"
        wait_until(lambda: all_ended(processes), description="every process of the killed dev ended", within_s=40)


@LINUX
def test_a_second_dev_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    """It names the process that uses the folder, exits with 1, and does not disturb the first."""
    with dev(tmp_path) as first:
        first.wait_for(r"ready +http")
        with dev(tmp_path) as second:
            assert second.process.wait(timeout=30) == 1
            assert f"process {first.process.pid}" in " ".join(second.printed.split())
        with Client(first.url) as relay:
            assert relay.list().total == 0

        killed = descendants_of(first.process.pid)
        first.process.send_signal(signal.SIGINT)
        first.process.send_signal(signal.SIGINT)
        first.process.wait(timeout=30)
        wait_until(lambda: all_ended(killed), description="Ctrl-C twice ended every process", within_s=10)


def test_a_port_in_use_is_reported_before_anything_starts(tmp_path: Path) -> None:
    """The message names the port and the option `--port`; nothing is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with dev(tmp_path, "--port", str(port)) as running:
            assert running.process.wait(timeout=30) == 1
            assert f"127.0.0.1:{port}" in running.printed
            assert "--port" in running.printed
            assert not (tmp_path / ".polyrelay" / "mongo").exists()


@LINUX
def test_a_process_that_exits_ends_all_others_and_is_reported(tmp_path: Path) -> None:
    """After a worker was killed all processes end; the exit code is 1, and its name and last lines are printed."""
    with dev(tmp_path) as running:
        running.wait_for(r"worker_started")
        running.wait_for(r"ready +http")
        processes = running.descendants()
        worker = next(pid for pid in processes if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes())

        os.kill(worker, signal.SIGKILL)

        assert running.process.wait(timeout=30) == 1
        assert re.search(r"worker-1 ended.*last lines.*worker_started", running.printed, re.DOTALL)
        wait_until(lambda: all_ended(processes), description="every process ended", within_s=10)


@LINUX
def test_ctrl_c_during_the_start_ends_all_processes(tmp_path: Path) -> None:
    """All processes that were started end, and the exit code is 0."""
    with dev(tmp_path) as running:
        wait_until(lambda: len(running.descendants()) >= 3, description="the start has begun")
        processes = running.descendants()
        running.process.send_signal(signal.SIGINT)

        assert running.process.wait(timeout=30) == 0, running.printed
        wait_until(lambda: all_ended(processes), description="every process ended", within_s=10)


@LINUX
def test_reload_starts_changed_code_and_waits_while_code_is_broken(tmp_path: Path) -> None:
    """Code that does not start is reported; after the next change API and workers run the new code."""
    source = tmp_path / "source"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    module = source / "api" / "app.py"
    good = module.read_text("utf-8")

    with dev(tmp_path, "--reload", PYTHONPATH=str(source)) as running:
        running.wait_for(r"ready +http")
        module.write_text("raise SystemExit('broken on purpose')\n" + good, "utf-8")
        running.wait_for(r"broken on purpose(.|\n)*waiting for the next change")
        module.write_text(good.replace("    app = Api(", "    print('the new code')\n    app = Api("), "utf-8")
        running.wait_for(r"running again")
        running.wait_for(r"api +\| the new code")
        assert image_task(running.url).status == "completed"
        assert running.process.poll() is None


def test_dev_requires_keys_with_auth_required(tmp_path: Path) -> None:
    """It prints the command that creates a key. Commands work with the key; without it they name its variable."""
    access = {"AUTH": "required", "API_KEY_ENCRYPTION_KEY": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}

    def polyrelay(*args: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        env = own_environment({"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **access, **environment})
        return subprocess.run(
            [sys.executable, "-P", "-m", "cli", *args],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
        )

    with dev(tmp_path, **access) as running:
        mongo_url = running.wait_for(r"keys   MONGO_URL=(\S+) polyrelay keys create")[1]
        made = polyrelay("keys", "create", MONGO_URL=mongo_url)
        secret = re.search(r"^secret +(\S+)$", made.stdout, re.MULTILINE)
        assert secret is not None, made.stderr

        refused = polyrelay("tasks", "list", "--url", running.url)
        listed = polyrelay("tasks", "list", "--url", running.url, POLYRELAY_API_KEY=secret[1])
        assert refused.returncode == 1
        assert "POLYRELAY_API_KEY" in refused.stderr
        assert (listed.returncode, listed.stderr) == (0, "0 of 0\n")
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(30) == 0
