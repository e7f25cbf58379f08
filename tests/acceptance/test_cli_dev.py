"""`polyrelay dev`, as a user runs it: real processes, real signals."""

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
    """A running `polyrelay dev`; what it started can be told by its data folder or its session."""

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
    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_for(self, pattern: str) -> "re.Match[str]":
        """The first match in what it prints."""
        wait_until(
            lambda: re.search(pattern, self.said) is not None or self.process.poll() is not None,
            description=lambda: f"{pattern!r} in\n{self.said}",
        )
        found = re.search(pattern, self.said)
        assert found is not None, self.said
        return found

    def descendants(self) -> list[int]:
        """It and everything below it."""
        return [self.process.pid, *below(self.process.pid)]

    def end(self) -> None:
        """Whatever a test did, nothing of it stays."""
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
        select_nothing(0.05)


def select_nothing(seconds: float) -> None:
    """Let others run between two looks at a condition."""
    signal.sigtimedwait([], seconds)


def parents() -> dict[int, int]:
    """Each living process's parent."""
    found: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            found[int(stat.parent.name)] = int(parent)
    return found


def below(pid: int) -> list[int]:
    tree = parents()
    direct = [child for child, parent in tree.items() if parent == pid]
    return [*direct, *(deeper for child in direct for deeper in below(child))]


def none_lives(pids: list[int]) -> bool:
    return not set(pids) & set(parents())


def made(url: str) -> TaskView:
    """A picture, asked for and waited for over HTTP."""
    with Client(url) as relay:
        return relay.wait(relay.create("image", **TASK).task_id, 60)


@LINUX
def test_dev_serves_and_ctrl_c_leaves_nothing_behind_but_the_data(tmp_path: Path) -> None:
    """A task runs; Ctrl-C ends every process in seconds with exit code 0; the next `dev` has the task and its file."""
    with dev(tmp_path, API_PROCESSES="2") as first:
        first.wait_for(r"ready +http")
        task = made(first.url)
        assert task.status == "completed"
        processes = first.descendants()
        assert len(processes) >= 7

        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(timeout=30) == 0
        wait_until(lambda: none_lives(processes), description="every process ended", within_s=5)
        assert re.search(r"^worker-1 +\| .*task_completed", first.said, re.MULTILINE)
        assert re.search(r"Ark.*simulator", first.said)
        assert f"curl -s {first.url}/api/v1/ai/image/task" in first.said

    with dev(tmp_path) as second:
        second.wait_for(r"ready +http")
        with Client(second.url) as relay:
            again = relay.get(task.task_id)
            saved = relay.save(again, tmp_path / "saved")
        assert again.status == "completed"
        assert saved[0].stat().st_size > 1000


@LINUX
def test_everything_dies_with_a_killed_dev_and_the_folder_can_be_used_again(tmp_path: Path) -> None:
    """`kill -9` of the parent leaves no process and no lock behind; the data is whole."""
    with dev(tmp_path) as first:
        first.wait_for(r"ready +http")
        task = made(first.url)
        processes = first.descendants()
        first.process.kill()
        first.process.wait()

        with dev(tmp_path) as second:
            second.wait_for(r"ready +http")
            with Client(second.url) as relay:
                assert relay.get(task.task_id).status == "completed"
        wait_until(lambda: none_lives(processes), description="every process of the killed dev ended", within_s=40)


@LINUX
def test_a_second_dev_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    """It names the process that has the folder, exits 1 and does no harm."""
    with dev(tmp_path) as first:
        first.wait_for(r"ready +http")
        with dev(tmp_path) as second:
            assert second.process.wait(timeout=30) == 1
            assert f"process {first.process.pid}" in " ".join(second.said.split())
        with Client(first.url) as relay:
            assert relay.list().total == 0

        killed = below(first.process.pid)
        first.process.send_signal(signal.SIGINT)
        first.process.send_signal(signal.SIGINT)
        first.process.wait(timeout=30)
        wait_until(lambda: none_lives(killed), description="Ctrl-C twice ended every process", within_s=10)


def test_a_port_in_use_is_reported_before_anything_starts(tmp_path: Path) -> None:
    """The message names the port and the way out; nothing was started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with dev(tmp_path, "--port", str(port)) as running:
            assert running.process.wait(timeout=30) == 1
            assert f"127.0.0.1:{port}" in running.said
            assert "--port" in running.said
            assert not (tmp_path / ".polyrelay" / "mongo").exists()


@LINUX
def test_a_process_that_dies_ends_everything_and_is_named(tmp_path: Path) -> None:
    """Whatever dies takes the rest with it: exit code 1, its name and its last lines."""
    with dev(tmp_path) as running:
        running.wait_for(r"worker_started")
        running.wait_for(r"ready +http")
        processes = running.descendants()
        worker = next(pid for pid in processes if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes())

        os.kill(worker, signal.SIGKILL)

        assert running.process.wait(timeout=30) == 1
        assert re.search(r"worker-1 ended.*last lines.*worker_started", running.said, re.DOTALL)
        wait_until(lambda: none_lives(processes), description="every process ended", within_s=10)


@LINUX
def test_ctrl_c_during_the_start_leaves_nothing_behind(tmp_path: Path) -> None:
    """Whatever was started by then is ended, with exit code 0."""
    with dev(tmp_path) as running:
        wait_until(lambda: len(running.descendants()) >= 3, description="the start has begun")
        processes = running.descendants()
        running.process.send_signal(signal.SIGINT)

        assert running.process.wait(timeout=30) == 0, running.said
        wait_until(lambda: none_lives(processes), description="every process ended", within_s=10)


@LINUX
def test_reload_starts_changed_code_and_outlives_broken_code(tmp_path: Path) -> None:
    """After a change the API and the workers are new processes; code that does not start is told and waited over."""
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
        assert made(running.url).status == "completed"
        assert running.process.poll() is None


def test_a_development_server_asks_for_keys_where_that_is_set(tmp_path: Path) -> None:
    """It prints the command that makes one; with the key the commands work, and without it they tell what to do."""
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
