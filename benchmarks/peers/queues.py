"""The compared queues: how each is installed and started, and how jobs are enqueued."""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from benchmarks.peers.installing import PEERS, Packages, Say, installed

OURS: Final = "polyrelay"

_PROGRAMS: Final = "benchmarks.peers.programs"
_SCRIPTS: Final = Path(__file__).resolve().parent / "programs"
_ROOT: Final = Path(__file__).resolve().parents[2]


class QueuePeer(Struct, frozen=True, kw_only=True):
    """
    A queue that runs the one job of `programs.jobs`.

    Attributes:
        name: Its name in tables.
        packages: The packages of its environment; None for our own environment.
        worker: The command of one worker process; `{bin}` is the folder of programs of the environment, also below.
        producer: The command that enqueues; gets the arguments of `programs.jobs.produce`.
        env: Further environment variables of both.
        most_per_s: A rate of no-ops that all workers on a small machine do not exceed; decides how many are enqueued.
        setting: Its settings, for the table.
        recovers: What decides how long the job of a killed worker waits, for the table.
    """

    name: str
    packages: Packages | None
    worker: Sequence[str]
    producer: Sequence[str]
    env: Mapping[str, str] = {}
    most_per_s: int
    setting: str
    recovers: str


class Commands(Struct, frozen=True, kw_only=True):
    """The commands of an installed queue."""

    worker: Sequence[str]
    producer: Sequence[str]
    cwd: Path


async def commands_of(peer: QueuePeer, *, say: Say, root: Path = PEERS) -> Commands:
    """
    Install the queue if necessary, and return its commands.

    Raises:
        NotInstalled: It cannot be installed.
    """
    packages = peer.packages
    if packages is None:
        programs, cwd = Path(sys.executable).parent, _ROOT
    elif packages.npm:
        programs = cwd = await installed(packages.npm[0].rpartition("@")[0], packages, say=say, root=root)
    else:
        environment = await installed(re.split(r"[\[=]", packages.pip[0])[0], packages, say=say, root=root)
        programs, cwd = environment / "bin", _ROOT

    def filled(command: Sequence[str]) -> Sequence[str]:
        return [word.format(bin=programs, scripts=_SCRIPTS) for word in command]

    return Commands(worker=filled(peer.worker), producer=filled(peer.producer), cwd=cwd)


def _own(name: str, engine: str, **fields: str | int) -> QueuePeer:
    program = ("{bin}/python", "-m", f"{_PROGRAMS}.own_jobs")
    return QueuePeer(
        name=name,
        packages=None,
        worker=(*program, "worker"),
        producer=program,
        env={"BENCH_ENGINE": engine},
        **fields,  # type: ignore[arg-type]
    )


def _taskiq(name: str, broker: str, **fields: str | int) -> QueuePeer:
    options = ("--workers", "1", "--max-async-tasks", "10", "--log-level", "WARNING")
    return QueuePeer(
        name=name,
        packages=Packages(pip=("taskiq[uv]==0.13.0", "taskiq-redis==1.2.4", "hiredis")),
        worker=("{bin}/taskiq", "worker", f"{_PROGRAMS}.taskiq_jobs:broker", *options),
        producer=("{bin}/python", "-m", f"{_PROGRAMS}.taskiq_jobs"),
        env={"BENCH_BROKER": broker},
        **fields,  # type: ignore[arg-type]
    )


QUEUES: Final = (
    _own(OURS, "claim", most_per_s=30000, setting="QUEUE_ENGINE=claim, 10 at once", recovers="lock of 30 s (LEASE_S)"),
    _own(
        f"{OURS}, arq engine",
        "arq",
        most_per_s=3500,
        setting="QUEUE_ENGINE=arq: plain arq, poll 0.05 s, 3 of 10 slots for this queue",
        recovers="lock of 30 s (LEASE_S)",
    ),
    QueuePeer(
        name="arq",
        packages=Packages(pip=("arq==0.28.0",)),
        worker=("{bin}/arq", f"{_PROGRAMS}.arq_jobs.WorkerSettings"),
        producer=("{bin}/python", "-m", f"{_PROGRAMS}.arq_jobs"),
        most_per_s=800,
        setting="defaults: 10 at once, poll 0.5 s",
        recovers="lock of 310 s (job_timeout + 10 s)",
    ),
    QueuePeer(
        name="SAQ",
        packages=Packages(pip=("saq[hiredis,redis]==0.26.4", "typing-extensions")),
        worker=("{bin}/saq", f"{_PROGRAMS}.saq_jobs.settings"),
        producer=("{bin}/python", "-m", f"{_PROGRAMS}.saq_jobs"),
        most_per_s=4000,
        setting="10 at once (default), 3 tries",
        recovers="sweep each 60 s, of jobs older than their timeout of 10 s",
    ),
    _taskiq(
        "taskiq",
        "stream",
        most_per_s=7000,
        setting="stream broker (acknowledges), uvloop, hiredis, 10 at once, 1 process",
        recovers="idle_timeout of 600 s, checked when another task comes",
    ),
    _taskiq(
        "taskiq, list",
        "list",
        most_per_s=8000,
        setting="list broker (no acknowledgement), uvloop, hiredis, 10 at once, 1 process",
        recovers="never: the task left the list when the worker took it",
    ),
    QueuePeer(
        name="streaQ",
        packages=Packages(pip=("streaq==7.2.0",)),
        worker=("{bin}/streaq", "run", f"{_PROGRAMS}.streaq_jobs:worker"),
        producer=("{bin}/python", "-m", f"{_PROGRAMS}.streaq_jobs"),
        most_per_s=6000,
        setting="10 at once, task logs off",
        recovers="idle_timeout of 60 s",
    ),
    QueuePeer(
        name="BullMQ",
        packages=Packages(npm=("bullmq@6.7.0", "ioredis@6.0.0")),
        worker=("node", "{scripts}/bullmq_jobs.mjs", "worker"),
        producer=("node", "{scripts}/bullmq_jobs.mjs"),
        most_per_s=12000,
        setting="Node, 10 at once",
        recovers="lock of 30 s, checked each 30 s",
    ),
)
