"""Pick-up latency of an idle worker: from just before a job is enqueued to the first line of the job."""

from collections.abc import Mapping
from typing import Final

from benchmarks.bench import Bench
from benchmarks.peers.queues import OURS
from benchmarks.queue_runs import Queues, queues
from benchmarks.series import Figure, percentile
from benchmarks.turns import in_turns

_UNITS: Final = {"p50": "ms", "p95": "ms"}
_WARM_UP: Final = 2


async def measure(bench: Bench) -> Figure:
    """Measure one worker process, which is otherwise idle."""
    jobs = 3 if bench.quick else 30
    async with queues(bench) as found:
        series = await in_turns(
            bench,
            found.contestants,
            lambda name: _once(found, name, jobs),
            case="1 worker",
            units=_UNITS,
            about="pick-up",
        )
    return Figure(
        name="pickup",
        title="Pick-up by an idle worker: from the enqueue to the job's first line",
        subject=OURS,
        key="p50",
        series=series,
        notes=(f"{jobs} jobs a round, each 20 to 520 ms after the one before has begun.",),
    )


async def _once(found: Queues, name: str, jobs: int) -> Mapping[str, float]:
    await found.clear()
    async with found.run(name) as run:
        async with run.workers(1):
            await run.produce("one", str(_WARM_UP + jobs))
        begun = sorted(run.begun(), key=lambda each: each.at_ns)[_WARM_UP:]
    took_ms = [(each.at_ns - each.sent_ns) / 1e6 for each in begun]
    return {"p50": percentile(took_ms, 0.5), "p95": percentile(took_ms, 0.95)}
