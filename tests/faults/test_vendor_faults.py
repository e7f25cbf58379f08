"""Scenarios 10, 11, 13 and 15: a vendor that is overrun, never ends, talks nonsense, or is away."""

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
from tests.faults.probes import Journal, forget_peak, logged, memory_bytes, peak_bytes, wake_again
from tests.faults.stack_fixture import RECONCILE_S, TEXT, VIDEO, Scene

POLLED_IMAGE = {"task_type": "image", "provider": "volcengine", "model": "jimeng_t2i_v31"}
POLL_S = 0.1
"""A good pause between two polls of it, with this stack's `POLL_SCALE`."""
ARK_TEXT = {"task_type": "text", "provider": "volcengine", "model": "doubao-pro-4k"}
TO_ARK = [{"provider": "volcengine", "model": "doubao-pro-4k"}]
HUGE_BYTES = 50_000_000
AT_ONCE = 4


@pytest.fixture(scope="module")
def stack_options() -> StackOptions:
    """One worker: its memory is looked at."""
    return StackOptions(workers=1)


def calls_of(scene: Scene, prompt: str) -> list[str]:
    """What the vendor was called for, with that prompt, in order."""
    return [call.kind for call in scene.stats().calls if call.prompt == prompt]


# Scenario 10


def test_a_storm_of_429_is_weathered_and_touches_no_other_vendor(scene: Scene) -> None:
    """
    A vendor that refuses everything is asked again no sooner than it says, and all tasks are made once it is over.

    Meanwhile the tasks of another vendor are as quick as before: nobody waits in a worker's slot.
    """
    quiet_s = [_seconds_of_a_text(scene, f"before the storm {number}") for number in range(8)]
    refusal = Error(code=50429, retry_after_s=2)
    scene.simulator.add_fault("visual.submit", refusal, times=None)
    prompts = [f"in the storm {number}" for number in range(20)]
    began = time.monotonic()
    task_ids = scene.create_all(prompts, kind=POLLED_IMAGE, width=512, height=512)
    scene.wait_until(lambda: len(scene.stats().prompts) >= 8 + 20, description="everybody was refused")
    stormy_s = [_seconds_of_a_text(scene, f"in the storm's midst {number}") for number in range(8)]
    scene.wait_until(
        lambda: min(scene.submits(prompt).received for prompt in prompts) >= 2, description="everybody asked twice"
    )
    scene.simulator.clear_faults()
    tasks = scene.wait_for_end(task_ids)
    lasted_s = time.monotonic() - began

    assert {task.state for task in tasks} == {State.COMPLETED}
    assert {scene.submits(prompt).accepted for prompt in prompts} == {1}
    pauses_s = [pause for task in tasks for pause in _pauses_s(task)]
    assert min(pauses_s) >= 2.0, "Retry-After was not honoured"
    assert max(len(task.attempts) for task in tasks) <= lasted_s / 2 + 1
    assert statistics.median(stormy_s) < statistics.median(quiet_s) + 0.5, (quiet_s, stormy_s)


def _seconds_of_a_text(scene: Scene, prompt: str) -> float:
    """How long a text of another vendor takes from creation to completion, by the record."""
    (task,) = scene.wait_for_end([scene.create(prompt, kind=TEXT)])
    assert task.state is State.COMPLETED
    return (task.updated - task.created).total_seconds()


def _pauses_s(task: Task) -> list[float]:
    """From the end of each attempt to the start of the next."""
    return [
        (after.started - before.ended).total_seconds()
        for before, after in pairwise(task.attempts)
        if before.ended is not None
    ]


# Scenario 11


def test_a_generation_that_never_ends_fails_at_the_deadline_after_bounded_polls(scene: Scene) -> None:
    """The task ends at its deadline, says so, and the vendor was not asked more often than the pauses allow."""
    scene.simulator.add_fault("visual.submit", NeverEnds())
    task_id = scene.create("never ends", kind=POLLED_IMAGE, width=512, height=512, deadline_s=3)
    (task,) = scene.wait_for_end([task_id])

    _ended_at_its_deadline(task)
    assert calls_of(scene, "never ends").count("visual.query") <= 3 / POLL_S + 1
    assert scene.submits("never ends").accepted == 1


@pytest.mark.parametrize(
    ("kind", "submit"),
    [(POLLED_IMAGE, "visual.submit"), (VIDEO, "openai.video.submit")],
    ids=["volcengine", "openai"],
)
def test_an_unknown_status_is_waited_out_kept_and_counted(scene: Scene, kind: dict[str, str], submit: str) -> None:
    """A status that no document names is no outcome: it is polled on until the deadline, kept and counted."""
    scene.simulator.add_fault(submit, UnknownStatus(status="paused_by_operator"))
    small = {"width": 512, "height": 512} if kind is POLLED_IMAGE else {}
    task_id = scene.create("strange word", kind=kind, deadline_s=2, **small)
    (task,) = scene.wait_for_end([task_id])

    _ended_at_its_deadline(task)
    polls = sum(kind.endswith("query") for kind in calls_of(scene, "strange word"))
    noticed = [line for line in logged(scene, "vendor_status_unknown") if line["task_id"] == task_id]
    assert {line["status"] for line in noticed} == {"paused_by_operator"}
    assert len(noticed) in {polls, polls + 1}, "each poll's answer, and the submit's where it has a status"
    assert task.attempt.unknown_statuses == polls - 1, "the last one came after the deadline"
    assert task.failure is not None
    assert "paused_by_operator" in task.failure.message
    assert scene.submits("strange word").accepted == 1


def test_an_unknown_status_on_the_way_does_not_lose_the_result(scene: Scene) -> None:
    """A paid generation that was in a strange state for a while is completed all the same."""
    scene.simulator.add_fault("visual.query", UnknownStatus(), times=3)
    task_id = scene.create("strange for a while", kind=POLLED_IMAGE, width=512, height=512)
    (task,) = scene.wait_for_end([task_id])

    assert task.state is State.COMPLETED
    assert scene.submits("strange for a while").accepted == len(task.attempts) == 1


def test_a_vendor_that_goes_back_from_done_to_queued_is_polled_on(scene: Scene) -> None:
    """`done` in a damaged answer, then `queued` again, then `done`: one submit, no step back, a completed task."""
    scene.simulator.change_latency(LatencyChange(image_s=0.0))
    scene.simulator.add_fault("visual.query", Garbage(), times=1)
    scene.simulator.add_fault("visual.query", Backwards(), times=3)
    task_id = scene.create("back and forth", kind=POLLED_IMAGE, width=512, height=512)
    (task,) = scene.wait_for_end([task_id])

    assert task.state is State.COMPLETED
    assert calls_of(scene, "back and forth") == ["visual.submit", *["visual.query"] * 5, "files"]
    assert len(task.attempts) == 1


def test_a_late_word_of_running_does_not_reopen_a_completed_task(scene: Scene) -> None:
    """An answer that was under way while the task was completed changes nothing."""
    scene.simulator.change_latency(LatencyChange(video_s=0.4))
    scene.simulator.add_fault("openai.video.query", Hang(seconds=1.5))
    with Journal(scene.stack) as journal:
        task_id = scene.create("overtaken", kind=VIDEO)
        scene.wait_for_call("openai.video.query")
        wake_again(scene, [task_id])
        task = scene.wait_for_state(task_id, State.COMPLETED)
        assert scene.stats().in_flight == 1, "the late answer was not late"
        scene.wait_until(
            lambda: task_id in {line["task_id"] for line in logged(scene, "write_conflict")},
            description="the late answer has come",
        )

        assert scene.task(task_id) == task
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
def test_a_damaged_answer_to_a_submit_is_an_unknown_outcome(scene: Scene, fault: Fault) -> None:
    """The vendor may have accepted: one submit, `outcome_unknown`, and a reason a person can read."""
    scene.simulator.add_fault("openai.chat", fault)
    (task,) = scene.wait_for_end([scene.create("damaged", kind=TEXT)])

    assert task.state is State.FAILED
    assert task.failure is not None
    assert task.failure.code == "outcome_unknown"
    assert "may have accepted" in task.failure.message
    assert scene.submits("damaged").received == 1


@pytest.mark.parametrize("fault", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_answer_to_a_poll_is_asked_for_again(scene: Scene, fault: Fault) -> None:
    """Asking costs nothing, and the generation is paid for: the next good answer completes the task."""
    scene.simulator.add_fault("visual.query", fault)
    (task,) = scene.wait_for_end([scene.create("damaged poll", kind=POLLED_IMAGE, width=512, height=512)])

    assert task.state is State.COMPLETED
    assert scene.submits("damaged poll").accepted == 1


def test_answers_of_50_mb_leave_the_memory_of_a_worker_bounded(scene: Scene) -> None:
    """Four at once, twice over: the peak is bounded by the answers under way, and nothing of them stays."""
    _huge_answers(scene, "first", AT_ONCE)
    rest = memory_bytes(scene, "worker-1")
    forget_peak(scene, "worker-1")
    _huge_answers(scene, "second", AT_ONCE)

    assert peak_bytes(scene, "worker-1") - rest < AT_ONCE * 2.2 * HUGE_BYTES
    scene.wait_until(lambda: _memory_after_a_text(scene) - rest < HUGE_BYTES, description="it is given back")


def _memory_after_a_text(scene: Scene) -> int:
    """The worker's memory after another step, which lets go of what the one before left behind."""
    _seconds_of_a_text(scene, "small again")
    return memory_bytes(scene, "worker-1")


def _huge_answers(scene: Scene, name: str, count: int) -> None:
    scene.simulator.add_fault("openai.chat", Huge(size_bytes=HUGE_BYTES), times=count)
    tasks = scene.wait_for_end(scene.create_all([f"{name} {number}" for number in range(count)], kind=TEXT))
    assert {task.failure.code for task in tasks if task.failure} == {"outcome_unknown"}


# Scenario 15


def test_a_first_choice_with_an_open_circuit_breaker_is_passed_over(scene: Scene) -> None:
    """Where the first choice's circuit is open the second serves, and the first is not even called."""
    scene.simulator.add_fault("openai.*", CutBefore(), times=5)
    broken = scene.wait_for_end(scene.create_all([f"breaks {number}" for number in range(5)], kind=TEXT))
    assert {task.state for task in broken} == {State.FAILED}

    (task,) = scene.wait_for_end([scene.create("passed on", kind=TEXT, fallbacks=TO_ARK)])
    assert task.state is State.COMPLETED
    assert [attempt.provider for attempt in task.attempts] == ["volcengine"]
    assert calls_of(scene, "passed on") == ["ark.chat"]


def test_a_first_choice_that_did_not_accept_is_followed_by_the_second(scene: Scene) -> None:
    """After a definite refusal the second choice is asked at once, and both attempts are on record."""
    scene.simulator.add_fault("openai.chat", Error(code="rate_limit_exceeded", status=429, retry_after_s=60))
    (task,) = scene.wait_for_end([scene.create("refused once", kind=TEXT, fallbacks=TO_ARK)])

    assert task.state is State.COMPLETED
    assert [attempt.provider for attempt in task.attempts] == ["openai", "volcengine"]
    assert calls_of(scene, "refused once") == ["openai.chat", "ark.chat"]


def test_after_an_unknown_outcome_no_second_choice_is_asked(scene: Scene) -> None:
    """The first may have accepted and billed it: the task fails as unknown, and nobody else is paid."""
    scene.simulator.add_fault("openai.chat", CutAfter())
    (task,) = scene.wait_for_end([scene.create("who knows", kind=TEXT, fallbacks=TO_ARK)])

    assert task.state is State.FAILED
    assert task.failure is not None
    assert task.failure.code == "outcome_unknown"
    assert calls_of(scene, "who knows") == ["openai.chat"]
    assert scene.submits("who knows").accepted == 1
