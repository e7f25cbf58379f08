"""Scenarios 1 to 4: processes die at the worst moments. What is on record goes on, and nothing is paid twice."""

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
"""A vendor's silence that no test outlasts."""

PROMISED_S = 40.0
"""A killed worker's tasks go on within that time at default settings."""


def queued(running: RunningStack) -> int:
    """How many wakes lie in Redis."""
    return sum(running.redis.zcard(name) for name in QUEUE_NAMES.values())  # type: ignore[misc]


def claimed(running: RunningStack) -> int:
    """How many wakes are locked by workers."""
    return len(running.redis.keys("arq:in-progress:*"))  # type: ignore[arg-type]


def recorded_only(running: RunningStack, prompt: str) -> str:
    """A text task that is on record and has no wake, so that only the reconciler finds it."""
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
    """Scenario 1. The API dies after the insert and before the wake: the task runs all the same, submitted once."""
    prompt = "the api dies before the wake"
    with running.paused(*running.stack.workers), ThreadPoolExecutor(1) as caller:
        running.pause("valkey")  # the wake cannot be sent: the API waits for Redis
        call = caller.submit(running.post, prompt)
        running.wait_until(lambda: running.documents.count_documents({}), description="the task is on record")
        running.kill("api", "valkey")  # Redis must not read what lies in its socket
        running.start("valkey")
        assert call.exception() is not None, "the caller got no answer"
        assert queued(running) == 0, "the wake was lost"
        assert running.submits(prompt).received == 0

    (before,) = running.tasks()
    assert before.state is State.PENDING
    (after,) = running.wait_for_end([before.id])
    assert after.state is State.COMPLETED
    assert len(after.attempts) == 1
    assert running.submits(prompt).received == 1


def test_a_worker_killed_before_its_first_write_is_replaced(running: RunningStack) -> None:
    """Scenario 2. Killed with the wake in its hands and nothing on record: another worker submits, once."""
    prompt = "killed before submitting is on record"
    first, second = running.stack.workers
    running.pause(second)
    running.pause(first)
    task_id = running.create(prompt)
    running.pause("mongo")
    running.resume(first)
    running.wait_until(lambda: claimed(running), description="the first worker took the wake")
    running.kill(first)
    running.resume("mongo")
    assert running.task(task_id).state is State.PENDING
    running.resume(second)

    (after,) = running.wait_for_end([task_id], within_s=LEASE_S + RECONCILE_S + 5)
    assert after.state is State.COMPLETED
    assert len(after.attempts) == 1
    assert running.submits(prompt).received == 1


@pytest.mark.parametrize("kind", [IMAGE, VIDEO], ids=["answers at once", "answers with an operation"])
def test_a_worker_killed_before_the_vendor_accepts_leaves_an_unknown_outcome(
    running: RunningStack, kind: dict[str, str]
) -> None:
    """Scenario 2. Killed once `submitting` is on record: failed as unknown, since nobody can tell; no second submit."""
    prompt = f"killed before the vendor accepts {kind['task_type']}"
    running.simulator.add_fault("openai.*", Hang(seconds=LONG_S, accepted=False), prompt=prompt)
    task_id = running.create(prompt, kind=kind)
    running.wait_until(lambda: running.submits(prompt).received, description="the vendor got the submit")

    running.kill(running.worker_of(task_id))

    (after,) = running.wait_for_end([task_id], within_s=LEASE_S + RECONCILE_S + 5)
    assert after.state is State.FAILED
    assert after.failure is not None
    assert after.failure.code == "outcome_unknown"
    assert len(after.attempts) == 1
    count = running.submits(prompt)
    assert (count.received, count.accepted) == (1, 0)


@pytest.mark.parametrize("kind", [IMAGE, VIDEO], ids=["answers at once", "answers with an operation"])
def test_a_worker_killed_after_the_vendor_accepted_causes_no_second_submit(
    running: RunningStack, kind: dict[str, str]
) -> None:
    """Scenario 3. Killed before the answer is on record: `outcome_unknown`, told as maybe billed; one submit."""
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


@pytest.mark.parametrize("kind", [IMAGE, VIDEO], ids=["answers at once", "answers with an operation"])
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
    """Scenario 4. Killed in the middle of a poll: the other polls on within lease + reconcile; no second submit."""
    prompt = "killed while it polls"
    first, second = running.stack.workers
    running.pause(second)
    running.simulator.add_fault("openai.video.query", Hang(seconds=LONG_S), prompt=prompt)
    task_id = running.create(prompt, kind=VIDEO)
    running.wait_for_call("openai.video.query")
    assert running.task(task_id).state is State.WAITING

    running.kill(first)
    killed = time.time()  # the vendor's clock, too
    running.resume(second)

    running.wait_for_call("openai.video.query", times=2)
    polls = [call.at for call in running.stats().calls if call.kind == "openai.video.query"]
    assert polls[1] - killed <= LEASE_S + RECONCILE_S
    (after,) = running.wait_for_end([task_id])
    assert after.state is State.COMPLETED
    assert len(after.attempts) == 1
    assert running.submits(prompt).received == 1


def test_a_task_with_a_long_poll_is_not_polled_twice_at_once(running: RunningStack) -> None:
    """A vendor that is silent while it is polled holds one slot for the task, however often the reconciler looks."""
    running.simulator.add_fault("openai.video.query", Hang(seconds=LONG_S), prompt="silent", times=None)
    silent = running.create("silent", kind=VIDEO)
    running.wait_for_call("openai.video.query")
    for number in range(5):
        running.wait_for_end([recorded_only(running, f"found by the reconciler's look {number}")])

    assert running.task(silent).state is State.WAITING
    assert [call.kind for call in running.stats().calls].count("openai.video.query") == 1


def test_default_settings_keep_the_promised_time() -> None:
    """Scenario 4 at default settings: a lease that runs out and one look of the reconciler fit into 40 seconds."""
    settings = Settings()

    assert settings.lease_s + settings.reconcile_s <= PROMISED_S
