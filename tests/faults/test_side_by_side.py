"""Scenario 16: a worker of an older version and one of this version process the same tasks at the same time."""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.embedded.processes import ChildProcess
from cli.embedded.readiness import prints
from core.task_states import State
from simulator.faults import Backwards
from tests.faults.conftest import StackOptions
from tests.faults.stack_fixture import IMAGE, TEXT, VIDEO, RunningStack, run

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("polyrelay", "core", "services", "providers", "repositories", "worker", "api", "cli")
POLLED_IMAGE = {"task_type": "image", "provider": "volcengine", "model": "jimeng_t2i_v31"}
KINDS = (IMAGE, TEXT, VIDEO, POLLED_IMAGE)


def _git(*args: str) -> bytes:
    return subprocess.run(["git", *args], cwd=ROOT, capture_output=True, check=True).stdout


def _old_commit() -> str | None:
    """
    The commit to compare with: `OLD_COMMIT` of the environment, or the one before the newest change of the product.

    Returns:
        None where the checkout has no such history.

    Raises:
        CalledProcessError: The checkout has no commit `OLD_COMMIT`.
    """
    if named := os.environ.get("OLD_COMMIT"):
        return _git("rev-parse", "--verify", "--short", f"{named}^{{commit}}").decode().strip()
    try:
        newest, *_ = _git("rev-list", "-1", "HEAD", "--", *PACKAGES).decode().split()
        return _git("rev-parse", "--verify", "--short", f"{newest}^").decode().strip()
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None


OLD = _old_commit()


@pytest.fixture(scope="module")
def stack_options() -> StackOptions:
    """One worker of this version; the fixture `old_worker` starts the other."""
    return StackOptions(workers=1)


@pytest.fixture(params=[OLD], ids=[f"{OLD}-and-this" if OLD else "no-history-so-this-version-twice"])
def old_code(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with the packages of the old version, or of this version if there is no history."""
    if request.param is None:
        return ROOT
    with tarfile.open(fileobj=io.BytesIO(_git("archive", request.param, *PACKAGES))) as archive:
        archive.extractall(tmp_path / "old", filter="data")
    return tmp_path / "old"


@pytest.fixture
def old_worker(running: RunningStack, old_code: Path, tmp_path: Path) -> Iterator[ChildProcess]:
    """A running worker of the old version."""
    environment = {**_environment_of(running), "PYTHONPATH": str(old_code)}
    _runs_the_code_of(old_code, environment)
    worker = ChildProcess(
        "old-worker",
        [sys.executable, "-P", "-m", "cli", "worker"],
        env=environment,
        log_file=tmp_path / "old-worker.log",
        ready=prints("worker_started"),
        cwd=tmp_path,
    )
    run(worker.start())
    try:
        yield worker
    finally:
        run(worker.stop(grace_s=10.0))


def _environment_of(running: RunningStack) -> dict[str, str]:
    """The environment of the stack's own worker, without its health port, which is in use."""
    pid = running.stack["worker-1"].pid
    pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    environment = dict(os.fsdecode(pair).partition("=")[::2] for pair in pairs if pair)
    return {name: value for name, value in environment.items() if name != "WORKER_PORT"}


def _runs_the_code_of(folder: Path, environment: dict[str, str]) -> None:
    """Every package is imported from the folder: otherwise the test would compare this version with itself."""
    program = f"import {', '.join(PACKAGES)}; print(*(each.__file__ for each in ({', '.join(PACKAGES)})), sep='\\n')"
    ran = subprocess.run([sys.executable, "-P", "-c", program], env=environment, capture_output=True, text=True)
    files = ran.stdout.splitlines()
    assert len(files) == len(PACKAGES), ran
    assert [file for file in files if not Path(file).is_relative_to(folder)] == []


def test_an_old_and_a_new_worker_complete_each_task_once(running: RunningStack, old_worker: ChildProcess) -> None:
    """Both workers complete tasks, every task completes, and none is submitted twice."""
    prompts = [f"{kind['model']} {number}" for kind in KINDS for number in range(8)]
    task_ids = [
        task_id
        for kind in KINDS
        for task_id in running.create_all([prompt for prompt in prompts if prompt.startswith(kind["model"])], kind=kind)
    ]
    tasks = running.wait_for_end(task_ids)

    assert {task.state for task in tasks} == {State.COMPLETED}
    assert {running.submits(prompt).accepted for prompt in prompts} == {1}
    assert {len(task.attempts) for task in tasks} == {1}
    for worker in (old_worker, running.process("worker-1")):
        assert "task_completed" in worker.output(), f"{worker.name} completed no task\n{worker.last_lines()}"


@pytest.mark.parametrize("stopping", ["old", "new"])
def test_one_version_completes_what_the_other_submitted(
    running: RunningStack, old_worker: ChildProcess, stopping: str
) -> None:
    """
    A rolling update or its reversal: one version is stopped while its tasks wait, and the other completes them.

    Each task has one attempt and one submit.
    """
    workers = {"old": old_worker, "new": running.process("worker-1")}
    remaining = workers["new" if stopping == "old" else "old"]
    run(remaining.stop())
    running.simulator.add_fault("openai.video.query", Backwards(), times=None)
    prompts = [f"handed over {number}" for number in range(12)]
    task_ids = running.create_all(prompts, kind=VIDEO)
    running.wait_until(
        lambda: running.documents.count_documents({"state": "waiting"}) == len(task_ids),
        description="the stopping worker has submitted all",
    )
    run(remaining.start())
    run(workers[stopping].stop())
    running.simulator.clear_faults()
    tasks = running.wait_for_end(task_ids)

    assert workers[stopping].exit_code == 0
    assert {task.state for task in tasks} == {State.COMPLETED}
    assert {len(task.attempts) for task in tasks} == {1}
    assert {running.submits(prompt).accepted for prompt in prompts} == {1}
    assert _completed_by(remaining) == set(task_ids)


def _completed_by(process: ChildProcess) -> set[str]:
    lines = [json.loads(line) for line in process.output().splitlines() if "task_completed" in line]
    return {line["task_id"] for line in lines}
