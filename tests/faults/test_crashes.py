"""Scenarios 1 to 4, crashes: stored tasks continue after a process was killed, and no task is submitted twice."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from core.random_ids import new_task_id
from core.settings import Settings
from core.task_states import State
from core.tasks import Task
from polyrelay import TaskType
from repositories.mongodb.task_documents import document_of, encode_input
from repositories.valkey.connection import QUEUE_NAMES
from simulator.faults import CutAfter, Hang
from tests.faults.stack_fixture import IMAGE, LEASE_S, RECONCILE_S, TEXT, VIDEO, RunningStack

LONG_S = 300.0
"""Delay of a vendor's response, in seconds; longer than any test."""

PROMISED_S = 40.0
"""Longest time, in seconds, until another worker continues a killed worker's tasks with default settings."""


def queued(running: RunningStack) -> int:
    """The number of queued wakes."""
    return sum(running.redis.zcard(name) for name in QUEUE_NAMES.values())  # type: ignore[misc]


def claimed(running: RunningStack) -> int:
    """The number of wakes that workers have claimed."""
    return len(running.redis.keys("arq:in-progress:*"))  # type: ignore[arg-type]


def stored_without_wake(running: RunningStack, prompt: str) -> str:
    """Store a text task without a wake, so that only the reconciler finds it; returns its id."""
    now = datetime.now(UTC)
    task = Task(
        id=new_task_id(now),
        type=TaskType.TEXT,
        provider=TEXT["provider"],
        model=TEXT["model"],
        user_id="cat",
        prompt=prompt,
        created=now,
        updated=now,
        deadline=now + timedelta(minutes=5),
        wake_at=now,
    )
    running.documents.insert_one({**document_of(task), "input": encode_input({"prompt": prompt})})
    return task.id


def test_a_task_whose_wake_was_never_sent_still_runs(running: RunningStack) -> None:
    """Scenario 1. The API is killed after the insert and before the wake: the task completes and is submitted once."""
    prompt = "the api is killed before the wake"
    with running.paused(*running.stack.workers), ThreadPoolExecutor(1) as caller:
        running.pause("valkey")  # the wake cannot be sent: the API waits for Redis
        call = caller.submit(running.post, prompt)
        running.wait_until(lambda: running.documents.count_documents({}), description="the task is stored")
        running.kill("api", "valkey")  # before Redis can read the wake from its socket
        running.start("valkey")
        assert call.exception() is not None, "the caller got a response"
        assert queued(running) == 0, "the wake was queued"
        assert running.submits(prompt).received == 0

    (before,) = running.tasks()
    assert before.state is State.PENDING
    (after,) = running.wait_for_end([before.id])
    assert after.state is State.COMPLETED
    assert len(after.attempts) == 1
    assert running.submits(prompt).received == 1


def test_a_worker_killed_before_its_first_write_is_replaced(running: RunningStack) -> None:
    """Scenario 2. Killed after it claimed the wake and before its first write: another worker submits once."""
    prompt = "killed before submitting is stored"
    first, second = running.stack.workers
    running.pause(second)
    running.pause(first)
    task_id = running.create(prompt)
    running.pause("mongo")
    running.resume(first)
    running.wait_until(lambda: claimed(running), description="the first worker claimed the wake")
    running.kill(first)
    running.resume("mongo")
    assert running.task(task_id).state is State.PENDING
    running.resume(second)

    (after,) = running.wait_for_end([task_id], within_s=LEASE_S + RECONCILE_S + 5)
    assert after.state is State.COMPLETED
    assert len(after.attempts) == 1
    assert running.submits(prompt).received == 1


@pytest.mark.parametrize("kind", [IMAGE, VIDEO], ids=["synchronous", "asynchronous"])
def test_a_worker_killed_before_the_vendor_accepts_leaves_an_unknown_outcome(
    running: RunningStack, kind: dict[str, str]
) -> None:
    """Scenario 2. Killed once `submitting` is stored: the task fails with `outcome_unknown`; no second submit."""
    prompt = f"killed before the vendor accepts {kind['task_type']}"
    running.simulator.add_fault("openai.*", Hang(seconds=LONG_S, accepted=False), prompt=prompt)
    task_id = running.create(prompt, kind=kind)
    running.wait_until(lambda: running.submits(prompt).received, description="the vendor received the submit")

    running.kill(running.worker_of(task_id))

    (after,) = running.wait_for_end([task_id], within_s=LEASE_S + RECONCILE_S + 5)
    assert after.state is State.FAILED
    assert after.failure is not None
    assert after.failure.code == "outcome_unknown"
    assert len(after.attempts) == 1
    count = running.submits(prompt)
    assert (count.received, count.accepted) == (1, 0)


@pytest.mark.parametrize("kind", [IMAGE, VIDEO], ids=["synchronous", "asynchronous"])
def test_a_worker_killed_after_the_vendor_accepted_causes_no_second_submit(
    running: RunningStack, kind: dict[str, str]
) -> None:
    """Scenario 3. Killed before the response is stored: `outcome_unknown`, possibly billed; one submit."""
    prompt = f"killed after the vendor accepted {kind['task_type']}"
    running.simulator.add_fault("openai.*", Hang(seconds=LONG_S, accepted=True), prompt=prompt)
    task_id = running.create(prompt, kind=kind)
    running.wait_until(lambda: running.submits(prompt).accepted, description="the vendor accepted")

    running.kill(running.worker_of(task_id))

    (after,) = running.wait_for_end([task_id], within_s=LEASE_S + RECONCILE_S + 5)
    assert after.state is State.FAILED
    shown = running.client.get(task_id)
    assert shown.status == "failed"
    assert shown.error is not None
    assert shown.error.code == "outcome_unknown"
    assert "may have accepted and billed" in shown.error.message
    assert len(after.attempts) == 1
    count = running.submits(prompt)
    assert (count.received, count.accepted) == (1, 1)


@pytest.mark.parametrize("kind", [IMAGE, VIDEO], ids=["synchronous", "asynchronous"])
def test_a_connection_cut_after_the_vendor_accepted_causes_no_second_submit(
    running: RunningStack, kind: dict[str, str]
) -> None:
    """Scenario 3. The vendor accepts and the connection is cut: `outcome_unknown` at once, one submit."""
    prompt = f"cut after the vendor accepted {kind['task_type']}"
    running.simulator.add_fault("openai.*", CutAfter(), prompt=prompt)
    task_id = running.create(prompt, kind=kind)

    (after,) = running.wait_for_end([task_id])
    assert after.state is State.FAILED
    assert after.failure is not None
    assert after.failure.code == "outcome_unknown"
    assert "may have accepted" in after.failure.message
    assert len(after.attempts) == 1
    count = running.submits(prompt)
    assert (count.received, count.accepted) == (1, 1)


def test_a_waiting_task_of_a_killed_worker_is_polled_by_another(running: RunningStack) -> None:
    """Scenario 4. Killed during a poll: another worker polls within lease + reconcile period; no second submit."""
    prompt = "killed while it polls"
    first, second = running.stack.workers
    running.pause(second)
    running.simulator.add_fault("openai.video.query", Hang(seconds=LONG_S), prompt=prompt)
    task_id = running.create(prompt, kind=VIDEO)
    running.wait_for_call("openai.video.query")
    assert running.task(task_id).state is State.WAITING

    running.kill(first)
    killed = time.time()  # the simulator uses the same clock
    running.resume(second)

    running.wait_for_call("openai.video.query", times=2)
    polls = [call.at for call in running.stats().calls if call.kind == "openai.video.query"]
    assert polls[1] - killed <= LEASE_S + RECONCILE_S
    (after,) = running.wait_for_end([task_id])
    assert after.state is State.COMPLETED
    assert len(after.attempts) == 1
    assert running.submits(prompt).received == 1


def test_a_task_with_a_long_poll_is_not_polled_twice_at_once(running: RunningStack) -> None:
    """While a poll has no response, the reconciler starts no second poll of the task."""
    running.simulator.add_fault("openai.video.query", Hang(seconds=LONG_S), prompt="silent", times=None)
    silent = running.create("silent", kind=VIDEO)
    running.wait_for_call("openai.video.query")
    for number in range(5):
        running.wait_for_end([stored_without_wake(running, f"found by the reconciler {number}")])

    assert running.task(silent).state is State.WAITING
    assert [call.kind for call in running.stats().calls].count("openai.video.query") == 1


def test_default_settings_keep_the_promised_time() -> None:
    """Scenario 4 with default settings: a lease plus a reconcile period is at most `PROMISED_S`."""
    settings = Settings()

    assert settings.lease_s + settings.reconcile_s <= PROMISED_S
