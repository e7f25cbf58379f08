"""What a test observes of a stack: MongoDB's journal of writes, logs, memory. Also sends duplicate wakes."""

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pymongo import MongoClient

from cli.embedded.stack import Stack
from core.task_states import FINAL
from repositories.valkey.claims import wake_queue
from repositories.valkey.connection import connect_queue
from tests.faults.stack_fixture import RunningStack, run

MIB: Final = 2**20
_FINAL: Final = frozenset(state.value for state in FINAL)


class Journal:
    """
    All changes of stored tasks since its creation, read from MongoDB's change stream.

    Args:
        stack: The stack whose MongoDB is read.
    """

    def __init__(self, stack: Stack) -> None:
        self._mongo: MongoClient[dict[str, Any]] = MongoClient(stack.mongo_url)
        self._database = self._mongo.get_default_database()
        self._since = self._database.command("ping")["operationTime"]

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._mongo.close()

    def states(self, task_id: str) -> list[str]:
        """The state after each write of a new version, in order; a state that is written twice is listed twice."""
        states, state = [], "pending"
        for fields in self._updates(task_id):
            state = fields.get("state", state)
            if "version" in fields:
                states.append(state)
        return states

    def endings(self, task_id: str) -> list[str]:
        """The final states that were written, in order."""
        return [state for state in self.states(task_id) if state in _FINAL]

    def _updates(self, task_id: str) -> Iterator[dict[str, Any]]:
        """The fields of each update of the task, up to a marker document that is inserted when reading begins."""
        markers = self._database["marks"]
        wanted = [{"$match": {"$or": [{"documentKey._id": task_id}, {"ns.coll": markers.name}]}}]
        with self._database.watch(wanted, start_at_operation_time=self._since, max_await_time_ms=2000) as changes:
            marker = markers.insert_one({}).inserted_id
            for change in changes:
                if change["documentKey"]["_id"] == marker:
                    return
                if change["operationType"] == "update" and change["ns"]["coll"] != markers.name:
                    yield change["updateDescription"]["updatedFields"]


def logged(running: RunningStack, event: str, *workers: str) -> list[dict[str, Any]]:
    """The log entries with that event of the named workers, or of all workers, since their last start."""
    lines = (line for name in workers or running.stack.workers for line in running.process(name).output().splitlines())
    entries = (json.loads(line) for line in lines if line.startswith("{"))
    return [entry for entry in entries if entry.get("event") == event]


def wake_again(running: RunningStack, task_ids: Sequence[str], *, times: int = 1) -> None:
    """Queue `times` more wakes of each task, as a queue that delivers twice would."""
    run(_wake_again(running.stack.redis_url, task_ids, times))


async def _wake_again(redis_url: str, task_ids: Sequence[str], times: int) -> None:
    redis = connect_queue(redis_url)
    queue = wake_queue(redis, "claim")
    try:
        for number in range(times):
            for task_id in task_ids:
                await queue.wake(task_id, at=datetime.fromtimestamp(time.time() - number / 100, UTC))
    finally:
        await redis.aclose()


def memory_bytes(running: RunningStack, name: str) -> int:
    """The current memory of a process (VmRSS), in bytes."""
    return _memory(running, name, "VmRSS")


def peak_bytes(running: RunningStack, name: str) -> int:
    """The peak memory of a process since `reset_peak` (VmHWM), in bytes."""
    return _memory(running, name, "VmHWM")


def reset_peak(running: RunningStack, name: str) -> None:
    """Start a new measurement of `peak_bytes`."""
    Path(f"/proc/{running.stack[name].pid}/clear_refs").write_text("5")


def _memory(running: RunningStack, name: str, field: str) -> int:
    status = Path(f"/proc/{running.stack[name].pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024
