"""Throughput: no-op jobs per second of one, two and four worker processes, from a full queue."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.bench import Bench
from benchmarks.peers.queues import OURS
from benchmarks.queue_runs import Begun, QueueRun, Queues, queues
from benchmarks.series import Figure, Series
from benchmarks.turns import Failed, in_turns

_UNITS: Final = {"rate": "jobs/s"}
_START_S: Final = 30.0
_LOOK_S: Final = 0.2


async def measure(bench: Bench, *, workers: Sequence[int] = (1, 2, 4)) -> Figure:
    """Count while all workers are busy, so that neither their start nor the last jobs count."""
    seconds = 0.5 if bench.quick else 3.0
    series: list[Series] = []
    async with queues(bench) as found:
        for count in workers:
            case = workers_case(count)
            series += await in_turns(
                bench,
                found.contestants,
                lambda name, count=count: _once(found, name, count, seconds),  # type: ignore[misc]
                case=case,
                units=_UNITS,
                about=f"drain, {case}",
            )
    return Figure(
        name="drain",
        title="No-op drain",
        subject=OURS,
        key="rate",
        series=series,
        notes=(
            f"Counted for {seconds:g} s from when all workers are at work, or until the queue is empty.",
            "Workers, server and benchmark share the machine's cores.",
        ),
    )


def workers_case(count: int) -> str:
    """The name of the case with that number of worker processes."""
    return f"{count} worker{'s' if count > 1 else ''}"


async def _once(found: Queues, name: str, workers: int, seconds: float) -> Mapping[str, float]:
    await found.clear()
    async with found.run(name) as run:
        await run.produce("many", str(round(found.peer(name).most_per_s * (seconds + 1.0))))
        async with run.workers(workers):
            await _until_done(run, workers, seconds)
        return {"rate": rate_of(run.begun(), workers=workers, seconds=seconds)}


def rate_of(begun: Sequence[Begun], *, workers: int, seconds: float) -> float:
    """
    Jobs per second, from the moment at which each worker has begun its first job, for at most `seconds`.

    Raises:
        Failed: Not all workers got a job, or too few jobs were left to measure.
    """
    firsts: dict[int, int] = {}
    for each in begun:
        firsts[each.pid] = min(each.at_ns, firsts.get(each.pid, each.at_ns))
    if len(firsts) < workers:
        raise Failed(f"only {len(firsts)} of {workers} workers got a job")
    start = max(firsts.values())
    inside = [each.at_ns for each in begun if start <= each.at_ns <= start + seconds * 1e9]
    if len(inside) < 2 or max(inside) == start:
        raise Failed("the queue was empty before all workers were busy")
    return (len(inside) - 1) / ((max(inside) - start) / 1e9)


async def _until_done(run: QueueRun, workers: int, seconds: float) -> None:
    """Wait until all workers have been busy for that time, or no more jobs begin."""
    loop = asyncio.get_running_loop()
    until, before = loop.time() + _START_S, -1
    all_at_work: float | None = None
    while loop.time() < until:
        await asyncio.sleep(_LOOK_S)
        at_work, count = run.at_work()
        if at_work >= workers and all_at_work is None:
            all_at_work = loop.time()
            until = all_at_work + seconds + _LOOK_S
        if count and count == before and at_work >= workers:
            return
        before = count
