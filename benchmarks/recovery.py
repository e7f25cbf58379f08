"""Recovery: how long the job of a killed worker (`kill -9`) waits until another worker begins it again."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks import task_recovery
from benchmarks.bench import Bench
from benchmarks.peers.queues import OURS
from benchmarks.queue_runs import QueueRun, Queues, queues
from benchmarks.series import Figure, Series
from benchmarks.turns import Failed

_JOBS: Final = 3  # the number of slots of a queue with the engine of plain arq
_HOLD_S: Final = 600
_BEGIN_S: Final = 30.0
_SETTLE_S: Final = 3.0
_CASE: Final = f"{_JOBS} running jobs"
_UNITS: Final = {"median": "s", "last": "s"}


async def measure(bench: Bench, *, patience_s: float = 100.0) -> Figure:
    """
    Measure jobs of each queue, then tasks of the whole server.

    Args:
        patience_s: A queue that takes longer is reported as such, with the setting that decides how long, and left out
            of the next rounds.
    """
    async with queues(bench) as found:
        jobs = await _jobs(bench, found, 1.0 if bench.quick else patience_s)
    return Figure(
        name="recovery",
        title="Recovery: from kill -9 of a worker to its work going on",
        subject=OURS,
        key="median",
        series=[*jobs, *await task_recovery.measure(bench)],
        notes=("Jobs: each queue with its defaults; all could be faster. A lock that is too short runs jobs twice.",),
    )


async def _jobs(bench: Bench, found: Queues, patience_s: float) -> Sequence[Series]:
    """Three jobs run in one worker, which is killed; a second one is idle. All queues at once: they only wait."""
    numbers: dict[str, list[Mapping[str, float]]] = {}
    missing = {each.name: each.missing for each in found.contestants if each.missing}
    for turn in range(bench.rounds):
        await found.clear()
        names = [each.name for each in found.contestants if each.name not in missing]
        bench.say(
            f"recovery: round {turn + 1} of {bench.rounds}, {len(names)} queues at once, {patience_s:g} s at most"
        )
        results = await asyncio.gather(*(_once(found, name, patience_s) for name in names))
        for name, result in zip(names, results, strict=True):
            if isinstance(result, str):
                missing[name] = result
            else:
                numbers.setdefault(name, []).append(result)
    return [
        Series(
            case=_CASE,
            system=each.name,
            measure=measure,
            unit=unit,
            rounds=tuple(delays[measure] for delays in numbers.get(each.name, ())),
            setting=found.peer(each.name).recovers,
            missing=missing.get(each.name),
        )
        for each in found.contestants
        for measure, unit in _UNITS.items()
    ]


async def _once(found: Queues, name: str, patience_s: float) -> Mapping[str, float] | str:
    """The delays, or the reason why there are none."""
    try:
        async with found.run(name) as run, run.workers(1, name="killed") as (killed,):
            await run.produce("hold", str(_JOBS), str(_HOLD_S))
            await run.until_begun(_JOBS, within_s=_BEGIN_S)
            before = {each.pid for each in run.begun()}
            async with run.workers(1, name="other"):
                await asyncio.sleep(_SETTLE_S)  # until it is idle; it reports nothing by which to see that
                at_ns = time.time_ns()
                await killed.kill()
                if not await run.begin(2 * _JOBS, within_s=patience_s):
                    again = len(run.begun()) - _JOBS
                    return f"{again} of {_JOBS} within {patience_s:g} s: {found.peer(name).recovers}"
            return _delays(run, before, at_ns)
    except Failed as error:
        return str(error)


def _delays(run: QueueRun, before: set[int], at_ns: int) -> Mapping[str, float]:
    delays = sorted((each.at_ns - at_ns) / 1e9 for each in run.begun() if each.pid not in before)
    return {"median": delays[len(delays) // 2], "last": delays[-1]}
