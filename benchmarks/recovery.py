"""How long a job waits whose worker is killed (`kill -9`) while it runs, until another worker begins it again."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from benchmarks.bench import Bench
from benchmarks.peers.queues import OURS
from benchmarks.queue_runs import QueueRun, Queues, queues
from benchmarks.series import Figure, Series
from benchmarks.turns import Failed

_JOBS: Final = 5
_HOLD_S: Final = 600
_BEGIN_S: Final = 30.0
_SETTLE_S: Final = 3.0
_UNITS: Final = {"median": "s", "last": "s"}


async def measure(bench: Bench, *, patience_s: float = 100.0) -> Figure:
    """
    Five jobs run in one worker, which is killed; a second one stands by. All queues at once: it is all waiting.

    Args:
        patience_s: A queue that takes longer is said to, with what decides how long, and is out of the next rounds.
    """
    patience_s = 1.0 if bench.quick else patience_s
    numbers: dict[str, list[Mapping[str, float]]] = {}
    async with queues(bench) as found:
        contestants = found.contestants
        missing = {each.name: each.missing for each in contestants if each.missing}
        for turn in range(bench.rounds):
            await found.clear()
            names = [each.name for each in contestants if each.name not in missing]
            bench.say(
                f"recovery: round {turn + 1} of {bench.rounds}, {len(names)} queues at once, {patience_s:g} s at most"
            )
            rounds = [_once(found, name, patience_s) for name in names]
            for name, result in zip(names, await asyncio.gather(*rounds, return_exceptions=True), strict=True):
                if isinstance(result, Failed):
                    missing[name] = str(result)
                elif isinstance(result, BaseException):
                    raise result
                else:
                    numbers.setdefault(name, []).append(result)
    series = [
        Series(
            case=f"{_JOBS} running jobs",
            system=each.name,
            measure=measure,
            unit=unit,
            rounds=tuple(each_round[measure] for each_round in numbers.get(each.name, ())),
            setting=found.peer(each.name).recovers,
            missing=missing.get(each.name),
        )
        for each in contestants
        for measure, unit in _UNITS.items()
    ]
    return Figure(
        name="recovery",
        title="Recovery: from kill -9 of a worker to its jobs going on in another one",
        subject=OURS,
        key="median",
        series=series,
        notes=(
            "Each queue with its defaults; all could be set to be faster. A lock that is too short runs jobs twice.",
        ),
    )


async def _once(found: Queues, name: str, patience_s: float) -> Mapping[str, float]:
    async with found.run(name) as run, run.workers(1, name="killed") as (killed,):
        await run.produce("hold", str(_JOBS), str(_HOLD_S))
        await run.until_begun(_JOBS, within_s=_BEGIN_S)
        before = {each.pid for each in run.begun()}
        async with run.workers(1, name="other"):
            await asyncio.sleep(_SETTLE_S)  # it stands by; there is nothing that it could tell
            at_ns = time.time_ns()
            await killed.kill()
            try:
                await run.until_begun(2 * _JOBS, within_s=patience_s)
            except Failed:
                again = len(run.begun()) - _JOBS
                raise Failed(f"{again} of {_JOBS} within {patience_s:g} s: {found.peer(name).recovers}") from None
        return _delays(run, before, at_ns)


def _delays(run: QueueRun, before: set[int], at_ns: int) -> Mapping[str, float]:
    delays = sorted((each.at_ns - at_ns) / 1e9 for each in run.begun() if each.pid not in before)
    return {"median": delays[len(delays) // 2], "last": delays[-1]}
