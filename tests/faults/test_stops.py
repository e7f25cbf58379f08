"""Scenario 5: a worker that is asked to stop."""

from collections import defaultdict
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from core.task_states import State
from services.vendors.openai.videos import POLL_S
from simulator.faults import Hang, NeverEnds
from tests.faults.conftest import StackOptions
from tests.faults.stack_fixture import IMAGE, VIDEO, RunningStack

POLLS = 200
SUBMITS = 20
SUBMIT_S = 2.0
GRACE_S = 15.0
RECONCILE_S = 2.0
POLL_SCALE = 1.6
INTERVAL_S = POLL_S * POLL_SCALE


@pytest.fixture(scope="module")
def stack_options() -> StackOptions:
    """Slots for all submits at once, polls that two cores bear, and leases that a loaded machine keeps."""
    env = {"WORKER_CONCURRENCY": "50", "POLL_SCALE": str(POLL_SCALE), "SHUTDOWN_GRACE_S": f"{GRACE_S:g}s"}
    return StackOptions(env={**env, "LEASE_S": "30s", "RECONCILE_S": f"{RECONCILE_S:g}s"})


def looks(running: RunningStack) -> dict[str, list[float]]:
    """When the vendor was asked about each open task, submits included, as Unix times; polls leave no other trace."""
    asked = defaultdict(list)
    for call in running.stats().calls:
        if call.kind in {"openai.video.submit", "openai.video.query"}:
            asked[call.prompt].append(call.at)
    return asked


def all_polled(running: RunningStack, *, since: datetime) -> bool:
    """Whether every open task was polled after that moment."""
    return sum(times[-1] > since.timestamp() for times in looks(running).values()) == POLLS


def test_a_stopping_worker_loses_no_task_and_uses_no_extra_attempt(running: RunningStack) -> None:
    """
    Scenario 5. SIGTERM with 200 open polls and 20 submits in flight: the worker waits for its submits and exits within
    the grace period, another polls on, each task has one attempt and one submit, and none is looked at later than one
    interval plus the reconcile period after its time.
    """
    first, second = running.stack.workers
    running.pause(second)
    running.simulator.add_fault("openai.video.submit", NeverEnds(), times=None)
    running.simulator.add_fault("openai.images", Hang(seconds=SUBMIT_S), times=None)
    polls = running.create_all([f"poll {number}" for number in range(POLLS)], kind=VIDEO)
    running.wait_until(lambda: running.count(State.WAITING) == POLLS, description="200 polls are open")
    submits = running.create_all([f"submit {number}" for number in range(SUBMITS)], kind=IMAGE)
    running.wait_for_call("openai.images", times=SUBMITS)
    assert running.count(State.SUBMITTING) == SUBMITS

    asked_at = datetime.now(UTC)
    running.terminate(first)
    running.resume(second)
    running.wait_until(lambda: not running.stack[first].running, description="it ended", within_s=GRACE_S)
    running.wait_until(
        lambda: all_polled(running, since=asked_at),
        description="all were polled again",
        within_s=2 * (INTERVAL_S + RECONCILE_S),
    )

    assert running.process(first).exit_code == 0
    ended = running.wait_for_end(submits)
    assert {task.state for task in ended} == {State.COMPLETED}
    longest_s = max(later - earlier for times in looks(running).values() for earlier, later in pairwise(times))
    assert INTERVAL_S - 1.0 < longest_s <= 2 * INTERVAL_S + RECONCILE_S
    assert {len(task.attempts) for task in running.tasks()} == {1}
    assert running.count(State.WAITING) == len(polls)
    prompts = running.stats().prompts
    assert len(prompts) == POLLS + SUBMITS
    assert {count.received for count in prompts.values()} == {1}
