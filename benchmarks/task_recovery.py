"""Recovery of stored tasks when one of two workers is killed (`kill -9`) while vendors work on them."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from pymongo import MongoClient

from benchmarks.bench import Bench
from benchmarks.creating import create_tasks
from benchmarks.peers.queues import OURS
from benchmarks.series import Series
from benchmarks.turns import Contestant, Failed, in_turns
from cli.embedded.stack import Stack

NOBODY: Final = f"{OURS}, nobody killed"

_TASKS: Final = 40
_CASE: Final = f"{_TASKS} video tasks"
_GENERATION_S: Final = 5.0
_BODY: Final = {"provider": "volcengine", "model": "jimeng_vgfm_t2v_l20", "user_id": "benchmark"}
_LATENCIES: Final = (f"--latency-video={_GENERATION_S}", "--latency-call=0.5")
_PATIENCE_S: Final = 120.0
_UNITS: Final = {"median": "s", "last": "s"}
_SETTING: Final = (
    f"2 workers, a vendor that takes {_GENERATION_S:g} s for a video and 0.5 s for each call; until stored as completed"
)


async def measure(bench: Bench) -> list[Series]:
    """Time from the kill, when all tasks are submitted, until they are completed: the median and the last one."""
    contestants = [
        Contestant(name=OURS, setting=_SETTING),
        Contestant(name=NOBODY, setting="the same, without the kill"),
    ]
    found = await in_turns(
        bench,
        contestants,
        lambda name: _once(bench, kill=name == OURS),
        case=_CASE,
        units=_UNITS,
        about="recovery, tasks",
    )
    return list(found)


async def _once(bench: Bench, *, kill: bool) -> Mapping[str, float]:
    with tempfile.TemporaryDirectory(dir=bench.folder, ignore_cleanup_errors=True) as folder:
        async with Stack(Path(folder), env={"AUTH": "none"}, workers=2, simulator_args=_LATENCIES) as stack:
            bodies = ({**_BODY, "prompt": f"waves, number {number}"} for number in range(_TASKS))
            await create_tasks(stack.api_url, "video", bodies, connections=4)
            with MongoClient[dict[str, Any]](stack.mongo_url) as client:
                states = client.get_default_database()["tasks"]
                await _until(lambda: not states.count_documents({"state": {"$in": ["pending", "submitting"]}}))
                began = time.monotonic()
                if kill:
                    await stack["worker-1"].kill()
                return await _completions(states, began)


async def _completions(states: Any, began: float) -> Mapping[str, float]:
    times: list[float] = []

    def all_completed() -> bool:
        done: int = states.count_documents({"state": "completed"})
        times.extend([time.monotonic() - began] * (done - len(times)))
        return done == _TASKS

    await _until(all_completed)
    return {"median": times[_TASKS // 2], "last": times[-1]}


async def _until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + _PATIENCE_S
    while not done():
        if time.monotonic() > until:
            raise Failed(f"tasks were open after {_PATIENCE_S:g} s")
        await asyncio.sleep(0.05)
