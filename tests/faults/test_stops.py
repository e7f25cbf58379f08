"""Scenario 5: a worker stops on SIGTERM."""

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
    """Slots for all submits at once, a poll interval for two cores, and a lease that a loaded machine can renew."""
    env = {"WORKER_CONCURRENCY": "50", "POLL_SCALE": str(POLL_SCALE), "SHUTDOWN_GRACE_S": f"{GRACE_S:g}s"}
    return StackOptions(env={**env, "LEASE_S": "30s", "RECONCILE_S": f"{RECONCILE_S:g}s"})


def vendor_calls(running: RunningStack) -> dict[str, list[float]]:
    """The Unix times of the submit and the polls of each video, by prompt; polls are not stored elsewhere."""
    times = defaultdict(list)
    for call in running.stats().calls:
        if call.kind in {"openai.video.submit", "openai.video.query"}:
            times[call.prompt].append(call.at)
    return times


def all_polled(running: RunningStack, *, since: datetime) -> bool:
    """Whether every video was polled after that moment."""
    return sum(times[-1] > since.timestamp() for times in vendor_calls(running).values()) == POLLS


def test_a_stopping_worker_loses_no_task_and_uses_no_extra_attempt(running: RunningStack) -> None:
    """
    Scenario 5. SIGTERM with 200 waiting tasks and 20 submits in flight: the worker waits for its submits and exits
    within the grace period. Another worker continues the polls; each task has one attempt and one submit, and no poll
    is later than one interval plus the reconcile period after its time.
    """
    first, second = running.stack.workers
    running.pause(second)
    running.simulator.add_fault("openai.video.submit", NeverEnds(), times=None)
    running.simulator.add_fault("openai.images", Hang(seconds=SUBMIT_S), times=None)
    polls = running.create_all([f"poll {number}" for number in range(POLLS)], kind=VIDEO)
    running.wait_until(lambda: running.count(State.WAITING) == POLLS, description="200 tasks are waiting")
    submits = running.create_all([f"submit {number}" for number in range(SUBMITS)], kind=IMAGE)
    running.wait_for_call("openai.images", times=SUBMITS)
    assert running.count(State.SUBMITTING) == SUBMITS

    stopped_at = datetime.now(UTC)
    running.terminate(first)
    running.resume(second)
    running.wait_until(lambda: not running.stack[first].running, description="the worker exited", within_s=GRACE_S)
    running.wait_until(
        lambda: all_polled(running, since=stopped_at),
        description="all were polled again",
        within_s=2 * (INTERVAL_S + RECONCILE_S),
    )

    assert running.process(first).exit_code == 0
    ended = running.wait_for_end(submits)
    assert {task.state for task in ended} == {State.COMPLETED}
    longest_s = max(later - earlier for times in vendor_calls(running).values() for earlier, later in pairwise(times))
    assert INTERVAL_S - 1.0 < longest_s <= 2 * INTERVAL_S + RECONCILE_S
    assert {len(task.attempts) for task in running.tasks()} == {1}
    assert running.count(State.WAITING) == len(polls)
    prompts = running.stats().prompts
    assert len(prompts) == POLLS + SUBMITS
    assert {count.received for count in prompts.values()} == {1}
