"""
Many open tasks in one worker: lateness of polls, memory, and writes.

The vendor is in the worker process and answers at once, so only the server is measured. The tasks are stored as they
are after their submit, with their first polls spread over one interval.
"""

import argparse
import asyncio
import json
import re
import tempfile
import time
from array import array
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from benchmarks import patient_vendor
from benchmarks.bench import Bench
from benchmarks.peers.queues import OURS
from benchmarks.processes import cpu_s, rss_bytes
from benchmarks.series import Figure, Series
from cli.embedded.stack import Stack
from core import transitions
from core.clock import utc_now
from core.random_ids import new_task_id
from core.tasks import Task
from polyrelay import Pending, TaskType
from repositories.mongodb.client import Database, connect_mongo
from repositories.mongodb.tasks import MongoTaskRepository
from repositories.valkey.claims import NotifyingWakeQueue
from repositories.valkey.connection import connect_queue

CASE: Final = "1 worker"

_ADDED_AT_ONCE: Final = 500
_LEAD_S: Final = 5.0

SLOTS: Final = 32
"""Concurrent steps. At a thousand polls a second each of ten slots has 10 ms: too few on a busy machine."""


class Waiting(Struct, frozen=True, kw_only=True):
    """
    One run.

    Attributes:
        tasks: Open tasks, all in one worker.
        every_s: The interval that the vendor asks for, in seconds.
        polls_per_s: Polls per second over the measured time.
        p50_ms: Median lateness of polls, in milliseconds: from the requested moment to the call of the vendor.
        p95_ms: 95th percentile of it.
        worst_ms: Maximum of it.
        rss_mb: Memory of the worker at the end; `most_rss_mb` is the highest that it was.
        tasks_written: Number of tasks whose version changed.
        cpu_percent: Percentage of one processor, by process.
    """

    tasks: int
    every_s: float
    concurrency: int
    measured_s: float
    polls: int
    polls_per_s: float
    p50_ms: float
    p95_ms: float
    worst_ms: float
    rss_mb: float
    most_rss_mb: float
    tasks_written: int
    cpu_percent: Mapping[str, float]


async def measure(
    *, tasks: int = 10_000, every_s: float = 10.0, for_s: float = 60.0, concurrency: int = SLOTS
) -> Waiting:
    """One run on a stack of its own, measured after one and a half intervals."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        lateness = folder / "lateness"
        env = {
            "PYTHONPATH": _plugin_in(folder / "plugins"),
            "WORKER_CONCURRENCY": str(concurrency),
            "POLL_EVERY_S": str(every_s),
            "LATENESS_FILE": str(lateness),
            "RECONCILE_S": "10s",
        }
        async with Stack(folder, env=env, vendors=()) as stack:
            database = connect_mongo(stack.mongo_url)
            began = await _wait_for(database, stack, tasks=tasks, every_s=every_s)
            await asyncio.sleep(began.timestamp() + 1.5 * every_s - time.time())
            before, cpu_before, from_ = await _versions(database), _cpu_of(stack), time.time()
            await asyncio.sleep(for_s)
            until, cpu_after, after = time.time(), _cpu_of(stack), await _versions(database)
            worker = stack["worker-1"]
            rss, most = rss_bytes(worker.pid or 0), _most_rss_bytes(worker.pid or 0)
            await worker.stop()
            database.client.close()
        late_ms = _lateness_ms(lateness, from_, until)
    return Waiting(
        tasks=tasks,
        every_s=every_s,
        concurrency=concurrency,
        measured_s=round(until - from_, 1),
        polls=len(late_ms),
        polls_per_s=round(len(late_ms) / (until - from_), 1),
        p50_ms=_quantile(late_ms, 0.5),
        p95_ms=_quantile(late_ms, 0.95),
        worst_ms=_quantile(late_ms, 1.0),
        rss_mb=round(rss / 1e6, 1),
        most_rss_mb=round(most / 1e6, 1),
        tasks_written=sum(before[task_id] != version for task_id, version in after.items()),
        cpu_percent={
            name: round((used - cpu_before[name]) / (until - from_) * 100, 1) for name, used in cpu_after.items()
        },
    )


async def figure(bench: Bench) -> Figure:
    """One run per round, for `make bench`."""
    tasks, every_s, for_s = (500, 2.0, 5.0) if bench.quick else (10_000, 10.0, 30.0)
    runs = []
    for turn in range(bench.rounds):
        bench.say(f"waiting: round {turn + 1} of {bench.rounds}, {tasks:,} tasks")
        runs.append(await measure(tasks=tasks, every_s=every_s, for_s=for_s))
    units = {"p95": "ms", "p50": "ms", "worst": "ms", "most_rss": "MB"}
    numbers = {name: [getattr(run, f"{name}_{unit.lower()}") for run in runs] for name, unit in units.items()}
    series = [
        Series(
            case=CASE,
            system=OURS,
            measure=name,
            unit=unit,
            rounds=numbers[name],
            setting=f"each {every_s:g} s, WORKER_CONCURRENCY={SLOTS}",
        )
        for name, unit in units.items()
    ]
    written = Series(
        case=CASE, system=OURS, measure="written", unit="tasks", rounds=[run.tasks_written for run in runs]
    )
    return Figure(
        name="waiting",
        title=f"{tasks:,} open tasks in one worker: how late polls are, and what they take",
        subject=OURS,
        key="p95",
        series=[*series, written],
        notes=(
            f"Measured for {for_s:g} s a round; a vendor that answers at once is inside the worker.",
            "Written are tasks whose record a poll changed; nothing was new, so none should be.",
        ),
    )


def _plugin_in(folder: Path) -> str:
    """A folder for PYTHONPATH in which the vendor is found as an installed plugin."""
    described = folder / "polyrelay_patient-1.0.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: polyrelay-patient\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text(f"[polyrelay.providers]\npatient = {patient_vendor.__name__}\n")
    return f"{Path(__file__).resolve().parents[1]}:{folder}"


async def _wait_for(database: Database, stack: Stack, *, tasks: int, every_s: float) -> datetime:
    """Store the tasks and queue their wakes. Returns when the first poll is due."""
    repository = MongoTaskRepository(database)
    redis = connect_queue(stack.redis_url)
    queue = NotifyingWakeQueue(redis)
    first = utc_now() + timedelta(seconds=_LEAD_S + tasks / 2000)
    waiting = [_waiting(first + timedelta(seconds=every_s * number / tasks)) for number in range(tasks)]
    for place in range(0, tasks, _ADDED_AT_ONCE):
        some = waiting[place : place + _ADDED_AT_ONCE]
        await asyncio.gather(*(repository.add(task, {"prompt": "a very long film"}) for task in some))
        await asyncio.gather(*(queue.wake(task.id, at=task.wake_at or first) for task in some))
    await redis.aclose()
    return first


def _waiting(poll_at: datetime) -> Task:
    now = utc_now()
    task = Task(
        id=new_task_id(now),
        type=TaskType.VIDEO,
        provider=patient_vendor.PROVIDER,
        model=patient_vendor.MODEL,
        user_id="benchmark",
        prompt="a very long film",
        created=now,
        updated=now,
        deadline=now + timedelta(days=1),
        wake_at=now,
    )
    begun = transitions.begun(task, choice=0, owner="benchmark", lease_s=30, now=now)
    return transitions.accepted(begun, Pending(operation=task.id), poll_at=poll_at, now=now)


async def _versions(database: Database) -> dict[str, int]:
    documents = await database["tasks"].find({}, {"version": 1}).to_list(None)
    return {document["_id"]: document["version"] for document in documents}


def _lateness_ms(file: Path, from_: float, until: float) -> list[float]:
    """The lateness of the polls in that time, sorted."""
    noted = array("d")
    noted.frombytes(file.read_bytes())
    return sorted(late * 1000 for at, late in zip(noted[::2], noted[1::2], strict=True) if from_ <= at < until)


def _quantile(values: list[float], share: float) -> float:
    return round(values[min(len(values) - 1, int(len(values) * share))], 1)


def _most_rss_bytes(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0


def _cpu_of(stack: Stack) -> dict[str, float]:
    return {name: cpu_s(process.pid) for name, process in stack.processes.items() if process.pid is not None}


def main() -> None:
    """Print the run as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--every-s", type=float, default=10.0)
    parser.add_argument("--for-s", type=float, default=60.0)
    parser.add_argument("--concurrency", type=int, default=SLOTS)
    options: dict[str, Any] = vars(parser.parse_args())
    print(json.dumps(msgspec.to_builtins(asyncio.run(measure(**options))), indent=2))


if __name__ == "__main__":
    main()
