"""
End to end: tasks per second from their creation over HTTP until they are stored as completed. Vendors answer at once.

API, worker, MongoDB, Valkey, the simulator and the clients share this machine: the figure is that of all of them.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct
from pymongo import MongoClient

from benchmarks.bench import Bench
from benchmarks.creating import create_tasks
from benchmarks.peers.queues import OURS
from benchmarks.processes import cpu_s
from benchmarks.series import Figure, Series
from cli.embedded.stack import Stack

_AT_ONCE: Final = tuple(f"--latency-{kind}=0" for kind in ("image", "video", "text", "call"))
_BODY: Final = {"provider": "openai", "model": "gpt-4", "user_id": "benchmark"}
_PATIENCE_S: Final = 300.0

SLOTS: Final = 64
"""Number of concurrent steps: the more, the more of them share a round trip."""


class EndToEnd(Struct, frozen=True, kw_only=True):
    """
    One round.

    Attributes:
        tasks: Number of tasks.
        created_s: From the first request to the last 201.
        completed_s: From the first request until all are stored as completed.
        tasks_per_s: Tasks per second of `completed_s`.
        cpu_ms_per_task: Processor time of each process for each task, in milliseconds.
    """

    tasks: int
    workers: int
    concurrency: int
    connections: int
    created_s: float
    completed_s: float
    tasks_per_s: float
    cpu_ms_per_task: Mapping[str, float]


WORKERS: Final = 2
"""As many as the machine has cores: a single one waits half of its time for MongoDB's journal."""


async def measure(
    *, tasks: int = 4000, rounds: int = 3, workers: int = WORKERS, concurrency: int = SLOTS, connections: int = 64
) -> list[EndToEnd]:
    """
    Measure rounds on one stack, which is started and stopped here. The first round is a warm-up and does not count.

    Raises:
        TimeoutError: Tasks were open five minutes after the last was created.
        RuntimeError: Tasks failed.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        env = {"WORKER_CONCURRENCY": str(concurrency), "AUTH": "none"}
        async with Stack(Path(folder), env=env, workers=workers, simulator_args=_AT_ONCE) as stack:
            await _round(stack, tasks=min(tasks, 500), concurrency=concurrency, connections=connections)
            return [
                await _round(stack, tasks=tasks, concurrency=concurrency, connections=connections)
                for _ in range(rounds)
            ]


async def _round(stack: Stack, *, tasks: int, concurrency: int, connections: int) -> EndToEnd:
    with MongoClient[dict[str, Any]](stack.mongo_url) as client:
        documents = client.get_default_database()["tasks"]

        def left() -> int:
            return documents.count_documents({"wake_at": {"$exists": True}}, hint="open_tasks")

        completed_before = documents.count_documents({"state": "completed"})
        cpu_before = _cpu_of(stack)
        began = time.perf_counter()
        bodies = ({**_BODY, "prompt": f"say {number}"} for number in range(tasks))
        await create_tasks(stack.api_url, "text", bodies, connections=connections)
        created_s = time.perf_counter() - began
        async with asyncio.timeout(_PATIENCE_S):
            while left():  # noqa: ASYNC110  other processes decide
                await asyncio.sleep(0.05)
        completed_s = time.perf_counter() - began
        completed = documents.count_documents({"state": "completed"}) - completed_before
    if completed != tasks:
        raise RuntimeError(f"{tasks} tasks were created and {completed} completed")
    used = {name: (after - cpu_before[name]) * 1000 / tasks for name, after in _cpu_of(stack).items()}
    return EndToEnd(
        tasks=tasks,
        workers=len(stack.workers),
        concurrency=concurrency,
        connections=connections,
        created_s=round(created_s, 3),
        completed_s=round(completed_s, 3),
        tasks_per_s=round(tasks / completed_s, 1),
        cpu_ms_per_task={name: round(ms, 3) for name, ms in used.items()},
    )


async def figure(bench: Bench) -> Figure:
    """The rounds for `make bench`: the rate, and the processor time of each process."""
    bench.say(f"end to end: {bench.rounds} rounds")
    rounds = await measure(tasks=200 if bench.quick else 4000, rounds=bench.rounds)
    rate = Series(
        case=f"{WORKERS} workers",
        system=OURS,
        measure="rate",
        unit="tasks/s",
        rounds=tuple(each.tasks_per_s for each in rounds),
        setting=f"text tasks, 64 connections, WORKER_CONCURRENCY={SLOTS}",
    )
    cpu = [
        Series(
            case="processor time",
            system=process,
            measure="cpu",
            unit="ms a task",
            rounds=tuple(each.cpu_ms_per_task[process] for each in rounds),
        )
        for process in rounds[0].cpu_ms_per_task
    ]
    return Figure(
        name="end_to_end",
        title="End to end: created over HTTP until stored as completed",
        subject=OURS,
        key="rate",
        series=[rate, *cpu],
        notes=("The simulator answers at once. All processes and the clients share the machine's cores.",),
    )


def _cpu_of(stack: Stack) -> dict[str, float]:
    used = {name: cpu_s(process.pid) for name, process in stack.processes.items() if process.pid is not None}
    return {**used, "clients": time.process_time()}


def main() -> None:
    """Print the rounds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--concurrency", type=int, default=SLOTS)
    parser.add_argument("--connections", type=int, default=64)
    rounds = asyncio.run(measure(**vars(parser.parse_args())))
    print(json.dumps(msgspec.to_builtins(rounds), indent=2))


if __name__ == "__main__":
    main()
