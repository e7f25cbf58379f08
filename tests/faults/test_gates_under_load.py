"""Scenario 14: many tasks queued at a gate with two slots; 500 tasks, or 5,000 with `CHAOS_LONG=1`."""

import os
import re

import httpx
import pytest

from core.task_states import State
from core.tasks import Task
from tests.faults.conftest import StackOptions
from tests.faults.probes import MIB, memory_bytes
from tests.faults.stack_fixture import RunningStack

LONG = os.environ.get("CHAOS_LONG") == "1"
TASKS = 5_000 if LONG else 500
WARM = 50
GATE = "model:volcengine/doubao-pro-4k"
GATED = {"task_type": "text", "provider": "volcengine", "model": "doubao-pro-4k"}
BY_ANOTHER = {"task_type": "text", "provider": "openai", "model": "gpt-4"}


@pytest.fixture(scope="module")
def stack_options() -> StackOptions:
    """Two workers, a gate with two slots, a vendor without latency, and a long `AI_TIMEOUT` while tasks are created."""
    return StackOptions(
        workers=2,
        env={"MODEL_MAX_CONCURRENT": "doubao-pro-4k=2", "AI_TIMEOUT": "15m"},
        simulator_args=("--latency-text", "0"),
    )


@pytest.mark.timeout(900 if LONG else 180)
def test_many_tasks_queued_at_a_gate_of_two_end_in_order_with_bounded_memory(running: RunningStack) -> None:
    """
    Queued tasks pass the gate in the order of their creation, two at a time, and all complete.

    A worker's memory does not grow with the length of the wait queue; tasks of another vendor are not delayed.
    """
    running.wait_for_end(running.create_all([f"warm {number}" for number in range(WARM)], kind=GATED), within_s=30)
    rest = {name: memory_bytes(running, name) for name in running.stack.workers}
    with running.paused("simulator"):
        task_ids = running.create_all([f"queued {number}" for number in range(TASKS)], kind=GATED, deadline_s=3600)
        running.wait_until(
            lambda: _in_wait_queue(running) == TASKS - 2,
            description="the others are queued",
            within_s=60 + TASKS / 20,
        )
        in_wait_queue = {name: memory_bytes(running, name) for name in running.stack.workers}
    (ungated,) = running.wait_for_end([running.create("not gated", kind=BY_ANOTHER)], within_s=10)
    assert _in_wait_queue(running) > 0, "the wait queue is empty"
    running.wait_for_end(task_ids[-1:], within_s=60 + TASKS / 10)
    running.wait_until(lambda: _open(running) == 0, description="every task ended")
    tasks = running.tasks()[WARM:]

    gated = [task for task in tasks if task.id in set(task_ids)]
    assert ungated.state is State.COMPLETED
    assert len(gated) == TASKS
    assert {task.state for task in gated} == {State.COMPLETED}
    assert {len(task.attempts) for task in gated} == {1}
    assert _most_overtaken(gated) <= 2
    assert running.stats().accepted["ark.chat"] == WARM + TASKS
    assert running.stats().max_in_flight <= 2 + len([ungated])
    for name in running.stack.workers:
        assert in_wait_queue[name] - rest[name] < 20 * MIB
        assert memory_bytes(running, name) - rest[name] < 20 * MIB


def _in_wait_queue(running: RunningStack) -> int:
    """The length of the gate's wait queue, from the API's metrics."""
    text = httpx.get(f"{running.stack.api_url}/metrics", timeout=10, trust_env=False).text
    found = re.search(rf'polyrelay_gate_line{{gate="{re.escape(GATE)}"}} (\S+)', text)
    return int(float(found.group(1))) if found else 0


def _open(running: RunningStack) -> int:
    return running.documents.count_documents({"state": {"$nin": [state.value for state in State if state.final]}})


def _most_overtaken(tasks: list[Task]) -> int:
    """The largest number of places by which a task started later than created; with two slots, neighbours may swap."""
    by_start = sorted(tasks, key=lambda task: task.attempt.started)
    created = {task.id: place for place, task in enumerate(sorted(tasks, key=lambda task: (task.created, task.id)))}
    return max(place - created[task.id] for place, task in enumerate(by_start))
