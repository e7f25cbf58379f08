"""Scenarios 1 to 4: processes die at the worst moments. What is on record goes on, and nothing is paid twice."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from core.settings import Settings
from core.task_states import State
from core.tasks import Task, new_task_id
from polyrelay import TaskType
from repositories.mongodb.task_documents import document_of, encode_input
from repositories.valkey.connection import QUEUE_NAMES
from simulator.faults import CutAfter, Hang
from tests.faults.stack_fixture import IMAGE, LEASE_S, RECONCILE_S, TEXT, VIDEO, Scene

LONG_S = 300.0
"""A vendor's silence that no test outlasts."""

PROMISED_S = 40.0
"""A killed worker's tasks go on within that time at default settings."""


def queued(scene: Scene) -> int:
    """How many wakes lie in Redis."""
    return sum(scene.redis.zcard(name) for name in QUEUE_NAMES.values())  # type: ignore[misc]


def claimed(scene: Scene) -> int:
    """How many wakes are locked by workers."""
    return len(scene.redis.keys("arq:in-progress:*"))  # type: ignore[arg-type]


def recorded_only(scene: Scene, prompt: str) -> str:
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
    scene.documents.insert_one({**document_of(task), "input": encode_input({"prompt": prompt})})
    return task.id


def test_a_task_whose_wake_was_never_sent_still_runs(scene: Scene) -> None:
    """Scenario 1. The API dies after the insert and before the wake: the task runs all the same, submitted once."""
    prompt = "the api dies before the wake"
    with scene.paused(*scene.stack.workers), ThreadPoolExecutor(1) as caller:
        scene.pause("valkey")  # the wake cannot be sent: the API waits for Redis
        call = caller.submit(scene.post, prompt)
        scene.wait_until(lambda: scene.documents.count_documents({}), description="the task is on record")
        scene.kill("api", "valkey")  # Redis must not read what lies in its socket
        scene.start("valkey")
        assert call.exception() is not None, "the caller got no answer"
        assert queued(scene) == 0, "the wake was lost"
        assert scene.submits(prompt).received == 0

    (before,) = scene.tasks()
    assert before.state is State.PENDING
    (after,) = scene.wait_for_end([before.id])
    assert after.state is State.COMPLETED
    assert len(after.attempts) == 1
    assert scene.submits(prompt).received == 1


def test_a_worker_that_dies_before_its_first_write_is_replaced(scene: Scene) -> None:
    """Scenario 2. Killed with the wake in its hands and nothing on record: another worker submits, once."""
    prompt = "killed before submitting is on record"
    first, second = scene.stack.workers
    scene.pause(second)
    scene.pause(first)
    task_id = scene.create(prompt)
    scene.pause("mongo")
    scene.resume(first)
    scene.wait_until(lambda: claimed(scene), description="the first worker took the wake")
    scene.kill(first)
    scene.resume("mongo")
    assert scene.task(task_id).state is State.PENDING
    scene.resume(second)

    (after,) = scene.wait_for_end([task_id], within_s=LEASE_S + RECONCILE_S + 5)
    assert after.state is State.COMPLETED
    assert len(after.attempts) == 1
    assert scene.submits(prompt).received == 1


@pytest.mark.parametrize("kind", [IMAGE, VIDEO], ids=["answers at once", "answers with an operation"])
def test_a_worker_that_dies_before_the_vendor_accepts_leaves_an_unknown_outcome(
    scene: Scene, kind: dict[str, str]
) -> None:
    """Scenario 2. Killed once `submitting` is on record: failed as unknown, since nobody can tell; no second submit."""
    prompt = f"killed before the vendor accepts {kind['task_type']}"
    scene.simulator.add_fault("openai.*", Hang(seconds=LONG_S, accepted=False), prompt=prompt)
    task_id = scene.create(prompt, kind=kind)
    scene.wait_until(lambda: scene.submits(prompt).received, description="the vendor got the submit")

    scene.kill(scene.worker_of(task_id))

    (after,) = scene.wait_for_end([task_id], within_s=LEASE_S + RECONCILE_S + 5)
    assert after.state is State.FAILED
    assert after.failure is not None
    assert after.failure.code == "outcome_unknown"
    assert len(after.attempts) == 1
    count = scene.submits(prompt)
    assert (count.received, count.accepted) == (1, 0)


@pytest.mark.parametrize("kind", [IMAGE, VIDEO], ids=["answers at once", "answers with an operation"])
def test_a_worker_that_dies_after_the_vendor_accepted_is_never_made_up_for_by_a_second_submit(
    scene: Scene, kind: dict[str, str]
) -> None:
    """Scenario 3. Killed before the answer is on record: `outcome_unknown`, told as maybe billed; one submit."""
    prompt = f"killed after the vendor accepted {kind['task_type']}"
    scene.simulator.add_fault("openai.*", Hang(seconds=LONG_S, accepted=True), prompt=prompt)
    task_id = scene.create(prompt, kind=kind)
    scene.wait_until(lambda: scene.submits(prompt).accepted, description="the vendor accepted")

    scene.kill(scene.worker_of(task_id))

    (after,) = scene.wait_for_end([task_id], within_s=LEASE_S + RECONCILE_S + 5)
    assert after.state is State.FAILED
    shown = scene.client.get(task_id)
    assert shown.status == "failed"
    assert shown.error is not None
    assert shown.error.code == "outcome_unknown"
    assert "may have accepted and billed" in shown.error.message
    assert len(after.attempts) == 1
    count = scene.submits(prompt)
    assert (count.received, count.accepted) == (1, 1)


@pytest.mark.parametrize("kind", [IMAGE, VIDEO], ids=["answers at once", "answers with an operation"])
def test_a_connection_cut_after_the_vendor_accepted_is_never_made_up_for_by_a_second_submit(
    scene: Scene, kind: dict[str, str]
) -> None:
    """Scenario 3. The vendor accepts and the connection is cut: `outcome_unknown` at once, one submit."""
    prompt = f"cut after the vendor accepted {kind['task_type']}"
    scene.simulator.add_fault("openai.*", CutAfter(), prompt=prompt)
    task_id = scene.create(prompt, kind=kind)

    (after,) = scene.wait_for_end([task_id])
    assert after.state is State.FAILED
    assert after.failure is not None
    assert after.failure.code == "outcome_unknown"
    assert "may have accepted" in after.failure.message
    assert len(after.attempts) == 1
    count = scene.submits(prompt)
    assert (count.received, count.accepted) == (1, 1)


def test_a_waiting_task_of_a_killed_worker_is_polled_on_by_another(scene: Scene) -> None:
    """Scenario 4. Killed in the middle of a poll: the other polls on within lease + reconcile; no second submit."""
    prompt = "killed while it polls"
    first, second = scene.stack.workers
    scene.pause(second)
    scene.simulator.add_fault("openai.video.query", Hang(seconds=LONG_S), prompt=prompt)
    task_id = scene.create(prompt, kind=VIDEO)
    scene.wait_for_call("openai.video.query")
    assert scene.task(task_id).state is State.WAITING

    scene.kill(first)
    killed = time.time()  # the vendor's clock, too
    scene.resume(second)

    scene.wait_for_call("openai.video.query", times=2)
    polls = [call.at for call in scene.stats().calls if call.kind == "openai.video.query"]
    assert polls[1] - killed <= LEASE_S + RECONCILE_S
    (after,) = scene.wait_for_end([task_id])
    assert after.state is State.COMPLETED
    assert len(after.attempts) == 1
    assert scene.submits(prompt).received == 1


def test_a_poll_that_takes_long_is_not_polled_beside_itself(scene: Scene) -> None:
    """A vendor that is silent while it is polled holds one slot for the task, however often the reconciler looks."""
    scene.simulator.add_fault("openai.video.query", Hang(seconds=LONG_S), prompt="silent", times=None)
    silent = scene.create("silent", kind=VIDEO)
    scene.wait_for_call("openai.video.query")
    for number in range(5):
        scene.wait_for_end([recorded_only(scene, f"found by the reconciler's look {number}")])

    assert scene.task(silent).state is State.WAITING
    assert [call.kind for call in scene.stats().calls].count("openai.video.query") == 1


def test_default_settings_keep_the_promised_time() -> None:
    """Scenario 4 at default settings: a lease that runs out and one look of the reconciler fit into 40 seconds."""
    settings = Settings()

    assert settings.lease_s + settings.reconcile_s <= PROMISED_S
