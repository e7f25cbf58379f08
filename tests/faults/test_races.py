"""Scenarios 9 and 12, races: several writers of one task at the same time; one of them wins."""

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
"""Its result is a link that the worker copies. `visual.submit`, `visual.query`, `files` at the simulator."""
ARK_VIDEO = {"task_type": "video", "provider": "volcengine", "model": "doubao-seedance-1-0-pro-250528"}
"""A vendor that can cancel an operation, while it is in the vendor's queue."""
GATED = {"task_type": "text", "provider": "volcengine", "model": "doubao-pro-4k"}

GENERATION_S = 2.0
"""Duration of a generation, in seconds, where it must not end before the test lets it."""


@pytest.fixture(scope="module")
def stack_options() -> StackOptions:
    """One submit at a time for one model; two API processes."""
    return StackOptions(env={"MODEL_MAX_CONCURRENT": "doubao-pro-4k=1", "API_PROCESSES": "2"})


@pytest.fixture
def journal(running: RunningStack) -> Iterator[Journal]:
    """The journal of all writes since the start of the test."""
    with Journal(running.stack) as opened:
        yield opened


def cancel(running: RunningStack, task_id: str) -> httpx.Response:
    """The API's response to a cancel."""
    url = f"{running.stack.api_url}/api/v1/ai/task/{task_id}/cancel"
    return httpx.post(url, timeout=30, trust_env=False, verify=False)  # noqa: S501 - plain HTTP; certificates load slowly


def cancel_outcome(answer: httpx.Response) -> str:
    """The outcome of a cancel: `cancelled`, `requested`, or `refused` for a 409."""
    if answer.status_code == 409:
        return "refused"
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"]["cancel"])


def calls(running: RunningStack, kind: str, prompt: str) -> int:
    """The number of calls of that kind with that prompt that the vendor received."""
    return sum(call.kind == kind and call.prompt == prompt for call in running.stats().calls)


# Scenario 9


@pytest.mark.parametrize(
    ("kind", "query"),
    [(VIDEO, "openai.video.query"), (POLLED_IMAGE, "visual.query")],
    ids=["result in the response", "result copied"],
)
def test_two_workers_and_the_reconciler_write_the_end_of_a_task_once(
    running: RunningStack, journal: Journal, kind: dict[str, str], query: str
) -> None:
    """
    Several concurrent polls of a finished generation write one final state, once.

    The vendor is paused while the tasks wait. Both workers poll, woken by duplicate wakes and by the reconciler. Then
    the vendor answers all polls at the same moment.
    """
    running.simulator.change_latency(LatencyChange(image_s=GENERATION_S, video_s=GENERATION_S))
    prompts = [f"raced {number}" for number in range(6)]
    task_ids = running.create_all(prompts, kind=kind)
    for task_id in task_ids:
        running.wait_for_state(task_id, State.WAITING)
    done_at = datetime.now(UTC) + timedelta(seconds=GENERATION_S)
    locks = running.documents.database["locks"]
    before = locks.find_one("reconcile")
    with running.paused("simulator"):
        wake_again(running, task_ids, times=3)
        running.wait_until(
            lambda: locks.find_one("reconcile") != before and datetime.now(UTC) > done_at,
            description="the reconciler ran, and all generations are done",
        )
    tasks = running.wait_for_end(task_ids)
    running.wait_until(lambda: running.stats().in_flight == 0, description="every poll was answered")

    for task, prompt in zip(tasks, prompts, strict=True):
        assert journal.endings(task.id) == ["completed"], journal.states(task.id)
        assert calls(running, query, prompt) >= 2, "the task was polled once only"
        assert running.submits(prompt).accepted == len(task.attempts) == 1
        assert len(task.results) == 1
    completed = [line["task_id"] for line in logged(running, "task_completed") if line["task_id"] in task_ids]
    assert sorted(completed) == sorted(task_ids), "an end was logged twice"
    ends = [*logged(running, "write_conflict"), *logged(running, "task_completed")]
    assert len({line["worker"] for line in ends if line["task_id"] in task_ids}) == 2, "one worker did everything"


# Scenario 12: cancel in each state


def test_a_task_cancelled_before_its_submit_never_reaches_the_vendor(running: RunningStack, journal: Journal) -> None:
    """A cancel of a pending task ends it at once, a second cancel answers the same, and nothing is submitted."""
    running.simulator.add_fault("ark.chat", Hang(seconds=2.0), prompt="holds the gate")
    first = running.create("holds the gate", kind=GATED)
    running.wait_for_call("ark.chat")
    second = running.create("never sent", kind=GATED)
    third = running.create("sent later", kind=GATED)

    answers = [cancel(running, second) for _ in range(2)]
    assert [cancel_outcome(answer) for answer in answers] == ["cancelled", "cancelled"]
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
    """During a submit a cancel is stored as a request, and the task is cancelled once the operation is known."""
    running.simulator.add_fault("visual.submit", Hang(seconds=1.0))
    running.simulator.change_latency(LatencyChange(image_s=60.0))
    task_id = running.create("cancelled during the submit", kind=POLLED_IMAGE)
    running.wait_for_call("visual.submit")

    answer = cancel(running, task_id)
    assert cancel_outcome(answer) == "requested"
    assert answer.json()["data"]["may_be_billed"]
    assert running.task(task_id).state is State.SUBMITTING
    (task,) = running.wait_for_end([task_id])
    assert task.state is State.CANCELLED
    assert task.attempt.operation
    assert journal.endings(task_id) == ["cancelled"]
    assert running.submits("cancelled during the submit").accepted == 1


def test_a_result_in_the_submit_response_wins_over_a_cancel(running: RunningStack, journal: Journal) -> None:
    """If the response to the submit has the result, a cancellation request during the submit does not discard it."""
    running.simulator.add_fault("openai.chat", Hang(seconds=1.0))
    task_id = running.create("synchronous", kind=TEXT)
    running.wait_for_call("openai.chat")

    assert cancel_outcome(cancel(running, task_id)) == "requested"
    (task,) = running.wait_for_end([task_id])
    assert task.state is State.COMPLETED
    assert task.results[0].text
    assert journal.endings(task_id) == ["completed"]
    assert cancel_outcome(cancel(running, task_id)) == "refused"


def test_a_waiting_task_is_cancelled_and_the_vendor_asked_to_stop(running: RunningStack, journal: Journal) -> None:
    """A vendor that can cancel is asked to, and the task says that it confirmed. A second cancel answers the same."""
    running.simulator.change_latency(LatencyChange(video_s=60.0))
    task_id = running.create("cancelled at the vendor", kind=ARK_VIDEO)
    running.wait_for_state(task_id, State.WAITING)

    assert {cancel_outcome(answer) for answer in [cancel(running, task_id), cancel(running, task_id)]} <= {
        "requested",
        "cancelled",
    }
    (task,) = running.wait_for_end([task_id])
    assert task.state is State.CANCELLED
    assert task.failure is not None
    assert "confirmed" in task.failure.message
    assert calls(running, "ark.video.delete", "cancelled at the vendor") >= 1
    assert running.stats().open == 0, "the operation is still open at the vendor"
    assert journal.endings(task_id) == ["cancelled"]


def test_a_cancel_at_a_vendor_that_cannot_stop_says_that_it_may_bill(running: RunningStack) -> None:
    """A cancel of a waiting task ends it; its failure says that the vendor may still finish and bill."""
    running.simulator.add_fault("openai.video.submit", NeverEnds())
    task_id = running.create("not stopped", kind=VIDEO)
    running.wait_for_state(task_id, State.WAITING)

    assert cancel_outcome(cancel(running, task_id)) == "requested"
    (task,) = running.wait_for_end([task_id])
    assert task.state is State.CANCELLED
    assert task.failure is not None
    assert "may still finish and bill" in task.failure.message
    assert running.stats().open == 1


def test_a_cancel_while_results_are_copied_is_refused(running: RunningStack) -> None:
    """In the state `storing` a cancel answers 409, and the task completes."""
    running.simulator.add_fault("files", Hang(seconds=1.5))
    task_id = running.create("being copied", kind=POLLED_IMAGE)
    running.wait_for_state(task_id, State.STORING)

    answer = cancel(running, task_id)
    assert cancel_outcome(answer) == "refused"
    assert "too late" in answer.json()["message"]
    assert running.wait_for_end([task_id])[0].state is State.COMPLETED


def test_an_ended_task_cannot_be_cancelled(running: RunningStack) -> None:
    """A cancel of a completed or failed task answers 409 and does not change the task."""
    running.simulator.add_fault("openai.chat", CutAfter(), prompt="fails")
    task_ids = [running.create("succeeds", kind=TEXT), running.create("fails", kind=TEXT)]
    before = running.wait_for_end(task_ids)

    assert [task.state for task in before] == [State.COMPLETED, State.FAILED]
    assert [cancel_outcome(cancel(running, task_id)) for task_id in task_ids] == ["refused", "refused"]
    assert [running.task(task_id) for task_id in task_ids] == before


# Scenario 12: cancel racing with completion


@pytest.mark.parametrize(
    "kind", [VIDEO, POLLED_IMAGE, IMAGE], ids=["result in the response", "result copied", "synchronous"]
)
def test_a_cancel_that_races_with_completion_has_one_winner(
    running: RunningStack, journal: Journal, kind: dict[str, str]
) -> None:
    """
    A cancel at the time of the completion: one final write for each task, in agreement with the cancel's response.

    `refused` means completed, `cancelled` means cancelled, `requested` means either.
    """
    running.simulator.change_latency(LatencyChange(image_s=0.3, video_s=0.3))
    ages_s = [0.0, 0.0, *(random.uniform(0.1, 0.9) for _ in range(20)), 3.0, 3.0]
    with ThreadPoolExecutor(12) as pool:
        outcomes = dict(pool.map(partial(_cancelled_at, running, kind), ages_s))
    tasks = running.wait_for_end(list(outcomes))

    for task in tasks:
        assert journal.endings(task.id) == [task.state.value], journal.states(task.id)
        assert task.state in _possible(outcomes[task.id]), f"answered {outcomes[task.id]}, became {task!r}"
        assert running.submits(task.prompt or "").accepted <= len(task.attempts) <= 1
    assert {"requested", "refused"} <= set(outcomes.values()), "no cancel came close to the end of its task"


def _cancelled_at(running: RunningStack, kind: dict[str, str], age_s: float) -> tuple[str, str]:
    """Create a task and cancel it at that age: its id, and the outcome of the cancel."""
    task_id = running.create(f"cancelled after {age_s}, {random.random()}", kind=kind)
    until = time.monotonic() + age_s
    running.wait_until(lambda: time.monotonic() >= until, description=f"{age_s} s passed")
    return task_id, cancel_outcome(cancel(running, task_id))


def _possible(outcome: str) -> set[State]:
    return {
        "cancelled": {State.CANCELLED},
        "requested": {State.CANCELLED, State.COMPLETED},
        "refused": {State.COMPLETED},
    }[outcome]


# Concurrent identical requests


def test_fifty_identical_creates_at_once_are_one_task_and_one_submit(running: RunningStack) -> None:
    """With one idempotency key, the responses of two API processes are equal byte by byte; one submit."""
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
