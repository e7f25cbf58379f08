"""Scenarios 10, 11, 13 and 15: a vendor refuses with 429, never finishes, answers garbage, or is unavailable."""

import statistics
import time
from itertools import pairwise

import pytest

from core.task_states import State
from core.tasks import Task
from simulator.control import LatencyChange
from simulator.faults import (
    Backwards,
    BrokenGzip,
    CutAfter,
    CutBefore,
    Error,
    Fault,
    Garbage,
    Hang,
    Huge,
    NeverEnds,
    Truncated,
    UnknownStatus,
)
from tests.faults.conftest import StackOptions
from tests.faults.probes import Journal, logged, memory_bytes, peak_bytes, reset_peak, wake_again
from tests.faults.stack_fixture import RECONCILE_S, TEXT, VIDEO, RunningStack

POLLED_IMAGE = {"task_type": "image", "provider": "volcengine", "model": "jimeng_t2i_v31"}
POLL_S = 0.1
"""Shortest time between two polls of it, in seconds, with this stack's `POLL_SCALE`."""
ARK_TEXT = {"task_type": "text", "provider": "volcengine", "model": "doubao-pro-4k"}
TO_ARK = [{"provider": "volcengine", "model": "doubao-pro-4k"}]
HUGE_BYTES = 50_000_000
CONCURRENT = 4


@pytest.fixture(scope="module")
def stack_options() -> StackOptions:
    """One worker, whose memory is measured."""
    return StackOptions(workers=1)


def calls_of(running: RunningStack, prompt: str) -> list[str]:
    """The kinds of the vendor's calls with that prompt, in order."""
    return [call.kind for call in running.stats().calls if call.prompt == prompt]


# Scenario 10


def test_a_vendor_that_answers_429_is_retried_and_delays_no_other_vendor(running: RunningStack) -> None:
    """
    Tasks refused with 429 are submitted again no sooner than Retry-After, and complete once the vendor accepts.

    Tasks of another vendor take as long as before: a refused task does not occupy a worker's slot.
    """
    before_s = [_seconds_of_a_text(running, f"before the refusals {number}") for number in range(8)]
    refusal = Error(code=50429, retry_after_s=2)
    running.simulator.add_fault("visual.submit", refusal, times=None)
    prompts = [f"refused {number}" for number in range(20)]
    began = time.monotonic()
    task_ids = running.create_all(prompts, kind=POLLED_IMAGE, width=512, height=512)
    running.wait_until(lambda: len(running.stats().prompts) >= 8 + 20, description="every task was refused")
    during_s = [_seconds_of_a_text(running, f"during the refusals {number}") for number in range(8)]
    running.wait_until(
        lambda: min(running.submits(prompt).received for prompt in prompts) >= 2,
        description="every task was submitted twice",
    )
    running.simulator.clear_faults()
    tasks = running.wait_for_end(task_ids)
    lasted_s = time.monotonic() - began

    assert {task.state for task in tasks} == {State.COMPLETED}
    assert {running.submits(prompt).accepted for prompt in prompts} == {1}
    delays_s = [delay for task in tasks for delay in _delays_s(task)]
    assert min(delays_s) >= 2.0, "a submit came before Retry-After"
    assert max(len(task.attempts) for task in tasks) <= lasted_s / 2 + 1
    assert statistics.median(during_s) < statistics.median(before_s) + 0.5, (before_s, during_s)


def _seconds_of_a_text(running: RunningStack, prompt: str) -> float:
    """The seconds from creation to completion of a text task of another vendor, as stored."""
    (task,) = running.wait_for_end([running.create(prompt, kind=TEXT)])
    assert task.state is State.COMPLETED
    return (task.updated - task.created).total_seconds()


def _delays_s(task: Task) -> list[float]:
    """The seconds from the end of each attempt to the start of the next."""
    return [
        (after.started - before.ended).total_seconds()
        for before, after in pairwise(task.attempts)
        if before.ended is not None
    ]


# Scenario 11


def test_a_generation_that_never_ends_fails_at_the_deadline_after_bounded_polls(running: RunningStack) -> None:
    """The task fails with `deadline_exceeded` at its deadline; the polls keep their interval."""
    running.simulator.add_fault("visual.submit", NeverEnds())
    task_id = running.create("never ends", kind=POLLED_IMAGE, width=512, height=512, deadline_s=3)
    (task,) = running.wait_for_end([task_id])

    _ended_at_its_deadline(task)
    assert calls_of(running, "never ends").count("visual.query") <= 3 / POLL_S + 1
    assert running.submits("never ends").accepted == 1


@pytest.mark.parametrize(
    ("kind", "submit"),
    [(POLLED_IMAGE, "visual.submit"), (VIDEO, "openai.video.submit")],
    ids=["volcengine", "openai"],
)
def test_an_unknown_status_is_polled_until_the_deadline_stored_and_counted(
    running: RunningStack, kind: dict[str, str], submit: str
) -> None:
    """An undocumented status is no outcome: the task is polled until its deadline; the status is stored and counted."""
    running.simulator.add_fault(submit, UnknownStatus(status="paused_by_operator"))
    small = {"width": 512, "height": 512} if kind is POLLED_IMAGE else {}
    task_id = running.create("unknown status", kind=kind, deadline_s=2, **small)
    (task,) = running.wait_for_end([task_id])

    _ended_at_its_deadline(task)
    polls = sum(kind.endswith("query") for kind in calls_of(running, "unknown status"))
    entries = [line for line in logged(running, "vendor_status_unknown") if line["task_id"] == task_id]
    assert {line["status"] for line in entries} == {"paused_by_operator"}
    assert len(entries) in {polls, polls + 1}, "one for each poll, and one for a submit whose response has a status"
    assert task.attempt.unknown_statuses == polls - 1, "the last poll was after the deadline"
    assert task.failure is not None
    assert "paused_by_operator" in task.failure.message
    assert running.submits("unknown status").accepted == 1


def test_a_temporary_unknown_status_does_not_lose_the_result(running: RunningStack) -> None:
    """A generation that has an unknown status for some polls completes."""
    running.simulator.add_fault("visual.query", UnknownStatus(), times=3)
    task_id = running.create("unknown status for three polls", kind=POLLED_IMAGE, width=512, height=512)
    (task,) = running.wait_for_end([task_id])

    assert task.state is State.COMPLETED
    assert running.submits("unknown status for three polls").accepted == len(task.attempts) == 1


def test_a_vendor_that_goes_back_from_done_to_queued_is_polled_again(running: RunningStack) -> None:
    """A damaged `done`, then `queued`, then `done`: the task completes with one attempt."""
    running.simulator.change_latency(LatencyChange(image_s=0.0))
    running.simulator.add_fault("visual.query", Garbage(), times=1)
    running.simulator.add_fault("visual.query", Backwards(), times=3)
    task_id = running.create("done, queued, done", kind=POLLED_IMAGE, width=512, height=512)
    (task,) = running.wait_for_end([task_id])

    assert task.state is State.COMPLETED
    assert calls_of(running, "done, queued, done") == ["visual.submit", *["visual.query"] * 5, "files"]
    assert len(task.attempts) == 1


def test_a_late_running_response_does_not_reopen_a_completed_task(running: RunningStack) -> None:
    """A poll response that arrives after the completion does not change the task."""
    running.simulator.change_latency(LatencyChange(video_s=0.4))
    running.simulator.add_fault("openai.video.query", Hang(seconds=1.5))
    with Journal(running.stack) as journal:
        task_id = running.create("late response", kind=VIDEO)
        running.wait_for_call("openai.video.query")
        wake_again(running, [task_id])
        task = running.wait_for_state(task_id, State.COMPLETED)
        assert running.stats().in_flight == 1, "the first poll was answered before the completion"
        running.wait_until(
            lambda: task_id in {line["task_id"] for line in logged(running, "write_conflict")},
            description="the late response was discarded",
        )

        assert running.task(task_id) == task
        assert journal.endings(task_id) == ["completed"]


def _ended_at_its_deadline(task: Task) -> None:
    assert task.state is State.FAILED
    assert task.failure is not None
    assert task.failure.code == "deadline_exceeded"
    assert 0 <= (task.updated - task.deadline).total_seconds() <= RECONCILE_S + 1.0


# Scenario 13

DAMAGED = {
    "garbage": Garbage(),
    "truncated": Truncated(clean=True),
    "cut-in-the-middle": Truncated(),
    "broken-gzip": BrokenGzip(),
    "50-MB": Huge(size_bytes=HUGE_BYTES),
}


@pytest.mark.parametrize("fault", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_answer_to_a_submit_is_an_unknown_outcome(running: RunningStack, fault: Fault) -> None:
    """The task fails with `outcome_unknown` and says that the vendor may have accepted; one submit."""
    running.simulator.add_fault("openai.chat", fault)
    (task,) = running.wait_for_end([running.create("damaged", kind=TEXT)])

    assert task.state is State.FAILED
    assert task.failure is not None
    assert task.failure.code == "outcome_unknown"
    assert "may have accepted" in task.failure.message
    assert running.submits("damaged").received == 1


@pytest.mark.parametrize("fault", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_answer_to_a_poll_is_polled_again(running: RunningStack, fault: Fault) -> None:
    """The next valid poll response completes the task; one submit."""
    running.simulator.add_fault("visual.query", fault)
    (task,) = running.wait_for_end([running.create("damaged poll", kind=POLLED_IMAGE, width=512, height=512)])

    assert task.state is State.COMPLETED
    assert running.submits("damaged poll").accepted == 1


def test_answers_of_50_mb_leave_the_memory_of_a_worker_bounded(running: RunningStack) -> None:
    """The peak is limited by the number of concurrent responses, and the memory is released afterwards."""
    _huge_answers(running, "first", CONCURRENT)
    rest = memory_bytes(running, "worker-1")
    reset_peak(running, "worker-1")
    _huge_answers(running, "second", CONCURRENT)

    assert peak_bytes(running, "worker-1") - rest < CONCURRENT * 2.2 * HUGE_BYTES
    running.wait_until(lambda: _memory_after_a_text(running) - rest < HUGE_BYTES, description="the memory is released")


def _memory_after_a_text(running: RunningStack) -> int:
    """The worker's memory after one more step, which releases what the step before still referenced."""
    _seconds_of_a_text(running, "small")
    return memory_bytes(running, "worker-1")


def _huge_answers(running: RunningStack, name: str, count: int) -> None:
    running.simulator.add_fault("openai.chat", Huge(size_bytes=HUGE_BYTES), times=count)
    tasks = running.wait_for_end(running.create_all([f"{name} {number}" for number in range(count)], kind=TEXT))
    assert {task.failure.code for task in tasks if task.failure} == {"outcome_unknown"}


# Scenario 15


def test_a_first_choice_with_an_open_circuit_breaker_is_skipped(running: RunningStack) -> None:
    """If the circuit breaker of the first choice is open, the second choice serves and the first is not called."""
    running.simulator.add_fault("openai.*", CutBefore(), times=5)
    broken = running.wait_for_end(running.create_all([f"refused {number}" for number in range(5)], kind=TEXT))
    assert {task.state for task in broken} == {State.FAILED}

    (task,) = running.wait_for_end([running.create("served by the second", kind=TEXT, fallbacks=TO_ARK)])
    assert task.state is State.COMPLETED
    assert [attempt.provider for attempt in task.attempts] == ["volcengine"]
    assert calls_of(running, "served by the second") == ["ark.chat"]


def test_a_first_choice_that_did_not_accept_is_followed_by_the_second(running: RunningStack) -> None:
    """After a certain refusal the second choice is submitted at once, and both attempts are stored."""
    running.simulator.add_fault("openai.chat", Error(code="rate_limit_exceeded", status=429, retry_after_s=60))
    (task,) = running.wait_for_end([running.create("refused once", kind=TEXT, fallbacks=TO_ARK)])

    assert task.state is State.COMPLETED
    assert [attempt.provider for attempt in task.attempts] == ["openai", "volcengine"]
    assert calls_of(running, "refused once") == ["openai.chat", "ark.chat"]


def test_after_an_unknown_outcome_no_second_choice_is_asked(running: RunningStack) -> None:
    """The first choice may have accepted and billed: the task fails with `outcome_unknown`, without a second submit."""
    running.simulator.add_fault("openai.chat", CutAfter())
    (task,) = running.wait_for_end([running.create("unknown outcome", kind=TEXT, fallbacks=TO_ARK)])

    assert task.state is State.FAILED
    assert task.failure is not None
    assert task.failure.code == "outcome_unknown"
    assert calls_of(running, "unknown outcome") == ["openai.chat"]
    assert running.submits("unknown outcome").accepted == 1
