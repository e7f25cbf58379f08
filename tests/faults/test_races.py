"""Scenarios 9 and 12: several reach for one task at once, and one of them wins."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import pytest

from core.task_states import State
from simulator.control import LatencyChange
from simulator.faults import CutAfter, Hang, NeverEnds
from tests.faults.conftest import StackOptions
from tests.faults.probes import Journal, logged, wake_again
from tests.faults.stack_fixture import IMAGE, TEXT, VIDEO, RunningStack

POLLED_IMAGE = {"task_type": "image", "provider": "volcengine", "model": "jimeng_t2i_v31"}
"""Its result is a link that is copied; `visual.submit`, `visual.query` and `files` at the simulator."""
ARK_VIDEO = {"task_type": "video", "provider": "volcengine", "model": "doubao-seedance-1-0-pro-250528"}
"""The one vendor here that can be asked to stop: while the task is in its queue."""
GATED = {"task_type": "text", "provider": "volcengine", "model": "doubao-pro-4k"}

TAKES_S = 2.0
"""A generation lasts so long where it must not end before the test wants it."""


@pytest.fixture(scope="module")
def stack_options() -> StackOptions:
    """One model lets a single submission through at a time; two processes answer callers."""
    return StackOptions(env={"MODEL_MAX_CONCURRENT": "doubao-pro-4k=1", "API_PROCESSES": "2"})


@pytest.fixture
def journal(running: RunningStack) -> Iterator[Journal]:
    """Every write of a task from the test's beginning on."""
    with Journal(running.stack) as kept:
        yield kept


def cancel(running: RunningStack, task_id: str) -> httpx.Response:
    """The API's answer to a request to cancel."""
    url = f"{running.stack.api_url}/api/v1/ai/task/{task_id}/cancel"
    return httpx.post(url, timeout=30, trust_env=False, verify=False)  # noqa: S501 - plain HTTP; certificates load slowly


def word(answer: httpx.Response) -> str:
    """What became of a request to cancel: `cancelled`, `requested`, or `refused`."""
    if answer.status_code == 409:
        return "refused"
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"]["cancel"])


def calls(running: RunningStack, kind: str, prompt: str) -> int:
    """How many calls of that kind the vendor got for that prompt."""
    return sum(call.kind == kind and call.prompt == prompt for call in running.stats().calls)


# Scenario 9


@pytest.mark.parametrize(
    ("kind", "query"),
    [(VIDEO, "openai.video.query"), (POLLED_IMAGE, "visual.query")],
    ids=["completed-at-once", "stored-first"],
)
def test_two_workers_and_the_reconciler_write_the_end_of_a_task_once(
    running: RunningStack, journal: Journal, kind: dict[str, str], query: str
) -> None:
    """
    However many look at a finished generation at once, a task gets one terminal state, written once.

    The vendor falls silent while the tasks wait; both workers ask it, woken by doubled wakes and by the reconciler;
    then it answers everybody at the same moment.
    """
    running.simulator.change_latency(LatencyChange(image_s=TAKES_S, video_s=TAKES_S))
    prompts = [f"raced {number}" for number in range(6)]
    task_ids = running.create_all(prompts, kind=kind)
    for task_id in task_ids:
        running.wait_for_state(task_id, State.WAITING)
    done_at = datetime.now(UTC) + timedelta(seconds=TAKES_S)
    locks = running.documents.database["locks"]
    looked = locks.find_one("reconcile")
    with running.paused("simulator"):
        wake_again(running, task_ids, times=3)
        running.wait_until(
            lambda: locks.find_one("reconcile") != looked and datetime.now(UTC) > done_at,
            description="the reconciler looked as well, and all is done at the vendor",
        )
    tasks = running.wait_for_end(task_ids)
    running.wait_until(lambda: running.stats().in_flight == 0, description="every poll was answered")

    for task, prompt in zip(tasks, prompts, strict=True):
        assert journal.endings(task.id) == ["completed"], journal.states(task.id)
        assert calls(running, query, prompt) >= 2, "nobody raced"
        assert running.submits(prompt).accepted == len(task.attempts) == 1
        assert len(task.results) == 1
    reported = [line["task_id"] for line in logged(running, "task_completed") if line["task_id"] in task_ids]
    assert sorted(reported) == sorted(task_ids), "an end was told twice"
    ends = [*logged(running, "write_conflict"), *logged(running, "task_completed")]
    assert len({line["worker"] for line in ends if line["task_id"] in task_ids}) == 2, "one worker did it all"


# Scenario 12: cancel in each state


def test_a_task_cancelled_before_its_submit_never_reaches_the_vendor(running: RunningStack, journal: Journal) -> None:
    """Cancelling a pending task ends it at once, twice is the same as once, and the vendor never hears of it."""
    running.simulator.add_fault("ark.chat", Hang(seconds=2.0), prompt="holds the gate")
    first = running.create("holds the gate", kind=GATED)
    running.wait_for_call("ark.chat")
    second = running.create("never sent", kind=GATED)
    third = running.create("sent after all", kind=GATED)

    answers = [cancel(running, second) for _ in range(2)]
    assert [word(answer) for answer in answers] == ["cancelled", "cancelled"]
    assert [answer.json()["data"]["may_be_billed"] for answer in answers] == [False, False]
    assert [task.state for task in running.wait_for_end([first, second, third])] == [
        State.COMPLETED,
        State.CANCELLED,
        State.COMPLETED,
    ]
    assert running.submits("never sent").received == 0
    assert journal.endings(second) == ["cancelled"]


def test_a_cancel_during_the_submit_takes_effect_once_the_vendor_has_answered(
    running: RunningStack, journal: Journal
) -> None:
    """While the vendor is asked nobody else writes; the wish is noted, and fulfilled when the operation is known."""
    running.simulator.add_fault("visual.submit", Hang(seconds=1.0))
    running.simulator.change_latency(LatencyChange(image_s=60.0))
    task_id = running.create("asked just now", kind=POLLED_IMAGE)
    running.wait_for_call("visual.submit")

    answer = cancel(running, task_id)
    assert word(answer) == "requested"
    assert answer.json()["data"]["may_be_billed"]
    assert running.task(task_id).state is State.SUBMITTING
    (task,) = running.wait_for_end([task_id])
    assert task.state is State.CANCELLED
    assert task.attempt.operation
    assert journal.endings(task_id) == ["cancelled"]
    assert running.submits("asked just now").accepted == 1


def test_a_result_in_the_submit_response_wins_over_a_cancel(running: RunningStack, journal: Journal) -> None:
    """Where the vendor answers a submit with the result itself, a wish noted meanwhile loses nothing paid for."""
    running.simulator.add_fault("openai.chat", Hang(seconds=1.0))
    task_id = running.create("too quick", kind=TEXT)
    running.wait_for_call("openai.chat")

    assert word(cancel(running, task_id)) == "requested"
    (task,) = running.wait_for_end([task_id])
    assert task.state is State.COMPLETED
    assert task.results[0].text
    assert journal.endings(task_id) == ["completed"]
    assert word(cancel(running, task_id)) == "refused"


def test_a_waiting_task_is_cancelled_and_the_vendor_asked_to_stop(running: RunningStack, journal: Journal) -> None:
    """Where the vendor can be asked, it is, and the record says that it confirmed; asked twice is as once."""
    running.simulator.change_latency(LatencyChange(video_s=60.0))
    task_id = running.create("stop this", kind=ARK_VIDEO)
    running.wait_for_state(task_id, State.WAITING)

    assert {word(answer) for answer in [cancel(running, task_id), cancel(running, task_id)]} <= {
        "requested",
        "cancelled",
    }
    (task,) = running.wait_for_end([task_id])
    assert task.state is State.CANCELLED
    assert task.failure is not None
    assert "confirmed" in task.failure.message
    assert calls(running, "ark.video.delete", "stop this") >= 1
    assert running.stats().open == 0, "the vendor still works on it"
    assert journal.endings(task_id) == ["cancelled"]


def test_a_cancel_at_a_vendor_that_cannot_stop_says_that_it_may_bill(running: RunningStack) -> None:
    """Cancelling a waiting task ends it here, and says honestly that the vendor may still finish and bill."""
    running.simulator.add_fault("openai.video.submit", NeverEnds())
    task_id = running.create("goes on", kind=VIDEO)
    running.wait_for_state(task_id, State.WAITING)

    assert word(cancel(running, task_id)) == "requested"
    (task,) = running.wait_for_end([task_id])
    assert task.state is State.CANCELLED
    assert task.failure is not None
    assert "may still finish and bill" in task.failure.message
    assert running.stats().open == 1


def test_a_cancel_while_results_are_copied_is_refused(running: RunningStack) -> None:
    """The generation is paid for and done: a cancel is refused with 409, and the result arrives."""
    running.simulator.add_fault("files", Hang(seconds=1.5))
    task_id = running.create("nearly there", kind=POLLED_IMAGE)
    running.wait_for_state(task_id, State.STORING)

    answer = cancel(running, task_id)
    assert word(answer) == "refused"
    assert "too late" in answer.json()["message"]
    assert running.wait_for_end([task_id])[0].state is State.COMPLETED


def test_an_ended_task_cannot_be_cancelled(running: RunningStack) -> None:
    """409 for a completed and for a failed task, which stay what they are."""
    running.simulator.add_fault("openai.chat", CutAfter(), prompt="fails")
    task_ids = [running.create("succeeds", kind=TEXT), running.create("fails", kind=TEXT)]
    before = running.wait_for_end(task_ids)

    assert [task.state for task in before] == [State.COMPLETED, State.FAILED]
    assert [word(cancel(running, task_id)) for task_id in task_ids] == ["refused", "refused"]
    assert [running.task(task_id) for task_id in task_ids] == before


# Scenario 12: cancel racing with completion


@pytest.mark.parametrize("kind", [VIDEO, POLLED_IMAGE, IMAGE], ids=["completed-at-once", "stored-first", "synchronous"])
def test_a_cancel_that_races_with_completion_has_one_winner(
    running: RunningStack, journal: Journal, kind: dict[str, str]
) -> None:
    """
    Cancels that meet the end of their task: one terminal write each, and the caller was told the truth.

    A refused cancel means completed, a done one means cancelled; a requested one may lose.
    """
    running.simulator.change_latency(LatencyChange(image_s=0.3, video_s=0.3))
    ages_s = [0.0, 0.0, *(random.uniform(0.1, 0.9) for _ in range(20)), 3.0, 3.0]
    with ThreadPoolExecutor(12) as pool:
        reported = dict(pool.map(partial(_cancelled_at, running, kind), ages_s))
    tasks = running.wait_for_end(list(reported))

    for task in tasks:
        assert journal.endings(task.id) == [task.state.value], journal.states(task.id)
        assert task.state in _possible(reported[task.id]), f"reported {reported[task.id]}, became {task!r}"
        assert running.submits(task.prompt or "").accepted <= len(task.attempts) <= 1
    assert {"requested", "refused"} <= set(reported.values()), "nobody raced"


def _cancelled_at(running: RunningStack, kind: dict[str, str], age_s: float) -> tuple[str, str]:
    """A task of its own, cancelled when it has that age: its id, and what the caller was told."""
    task_id = running.create(f"met at the end, {age_s}, {random.random()}", kind=kind)
    until = time.monotonic() + age_s
    running.wait_until(lambda: time.monotonic() >= until, description="it has its age")
    return task_id, word(cancel(running, task_id))


def _possible(reported: str) -> set[State]:
    return {
        "cancelled": {State.CANCELLED},
        "requested": {State.CANCELLED, State.COMPLETED},
        "refused": {State.COMPLETED},
    }[reported]


# The same request at the same time


def test_fifty_identical_creates_at_once_are_one_task_and_one_submit(running: RunningStack) -> None:
    """All with one key: two processes' answers are equal to the byte, and the vendor is asked once."""
    url = f"{running.stack.api_url}/api/v1/ai/image/task"
    body = {**IMAGE, "user_id": "cat", "prompt": "fifty times"}
    del body["task_type"]

    def create(_: int) -> httpx.Response:
        headers = {"Idempotency-Key": "order-4711"}
        return httpx.post(url, json=body, headers=headers, timeout=30, trust_env=False, verify=False)  # noqa: S501

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(create, range(50)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 49
    (task,) = running.wait_for_end([answers[0].json()["data"]["task_id"]])
    assert running.documents.count_documents({}) == 1
    assert task.state is State.COMPLETED
    assert running.submits("fifty times").accepted == len(task.attempts) == 1
    late = create(0)
    assert late.content == answers[0].content
    assert running.documents.count_documents({}) == 1
