"""A child process: start, stop, kill, and its end with the parent."""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cli.embedded.processes import ChildProcess
from cli.embedded.readiness import prints
from cli.embedded.start_errors import ServerNotStarted

SLEEP = "import signal; print('ready', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(15, signal.SIG_IGN); print('ready', flush=True)\nwhile True: signal.pause()"
WITH_CHILD = (
    "import subprocess, sys, signal\n"
    f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}], stdout=subprocess.DEVNULL)\n"
    "print('ready', child.pid, flush=True); signal.pause()"
)


def python(code: str, folder: Path, start_timeout_s: float = 60.0) -> ChildProcess:
    command: Sequence[str] = [sys.executable, "-c", code]
    return ChildProcess(
        "child",
        command,
        env=os.environ,
        log_file=folder / "child.log",
        ready=prints("ready"),
        start_timeout_s=start_timeout_s,
    )


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(predicate: Callable[[], bool], *, description: str, within_s: float = 20.0) -> None:
    until = time.monotonic() + within_s
    while not predicate():
        assert time.monotonic() < until, f"not within {within_s} s: {description}"
        os.sched_yield()


async def test_a_child_starts_stops_and_starts_again(tmp_path: Path) -> None:
    """`start` waits until it is ready, `stop` ends it, and its log has the output of both runs."""
    child = python(SLEEP, tmp_path)

    await child.start()
    first = child.pid
    await child.stop()
    stopped = child.running
    await child.start()
    second = child.pid
    await child.stop()

    assert first is not None
    assert (stopped, child.running, first == second) == (False, False, False)
    assert child.log_file.read_text() == "ready\nready\n"
    assert child.output() == "ready\n"


async def test_a_child_that_ends_during_its_start_is_an_error(tmp_path: Path) -> None:
    """The error contains the last lines of its output."""
    child = python("raise SystemExit('the reason')", tmp_path)

    with pytest.raises(ServerNotStarted, match="the reason"):
        await child.start()

    assert child.exit_code == 1


async def test_a_child_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    """A start that takes too long fails and leaves no process."""
    child = python("import signal; signal.pause()", tmp_path, start_timeout_s=0.2)

    with pytest.raises(ServerNotStarted, match=r"0\.2 s"):
        await child.start()

    assert not child.running


async def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """SIGKILL is sent after the grace period."""
    child = python(STUBBORN, tmp_path)
    await child.start()

    await child.stop(grace_s=0.1)

    assert child.exit_code == -signal.SIGKILL


async def test_kill_ends_the_childs_children_too(tmp_path: Path) -> None:
    """No grandchild is left."""
    child = python(WITH_CHILD, tmp_path)
    await child.start()
    grandchild = int(child.output().split()[1])

    await child.kill()

    assert not child.running
    wait_until(lambda: not alive(grandchild), description="the grandchild ended")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
async def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """Linux sends it SIGTERM, because the killed parent cannot."""
    parent = (
        "import asyncio, os, signal, pathlib, sys\n"
        "from cli.embedded.processes import ChildProcess\n"
        "from cli.embedded.readiness import prints\n"
        f"child = ChildProcess('c', [sys.executable, '-c', {SLEEP!r}], env=os.environ,"
        f" log_file=pathlib.Path({str(tmp_path / 'inner.log')!r}), ready=prints('ready'))\n"
        "asyncio.run(child.start()); print('ready', child.pid, flush=True); signal.pause()"
    )
    outer = python(parent, tmp_path)
    await outer.start()
    inner, pid = int(outer.output().split()[1]), outer.pid
    assert pid is not None
    assert alive(inner)

    os.kill(pid, signal.SIGKILL)

    wait_until(lambda: not alive(inner), description="the child ended with its parent")
