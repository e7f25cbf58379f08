"""Scenarios 6 to 8: Redis loses its data or is unavailable, MongoDB is unavailable. No process needs a restart."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from core.task_states import State
from simulator.control import LatencyChange
from simulator.faults import Hang
from tests.faults.stack_fixture import IMAGE, TEXT, VIDEO, RunningStack

KINDS = (IMAGE, VIDEO, TEXT)


def pids(running: RunningStack) -> dict[str, int | None]:
    """The process ids of the API and the workers; a restart changes them."""
    return {name: running.stack[name].pid for name in ("api", *running.stack.workers)}


def created(running: RunningStack, topic: str, count: int) -> list[str]:
    """Create `count` tasks of all kinds, with unique prompts; returns their ids."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda n: running.create(f"{topic} {n}", kind=KINDS[n % len(KINDS)]), range(count)))


def assert_each_submitted_once(running: RunningStack, task_ids: list[str]) -> None:
    """All stored tasks complete with one attempt each, and the vendor received one submit of each and no others."""
    running.wait_for_end(task_ids, within_s=60)
    tasks = running.wait_for_end([task.id for task in running.tasks()])
    assert {task.state for task in tasks} == {State.COMPLETED}, running.summary()
    assert {len(task.attempts) for task in tasks} == {1}
    counts = running.stats().prompts
    assert sorted(counts) == sorted(str(task.prompt) for task in tasks)
    assert {(count.received, count.accepted) for count in counts.values()} == {(1, 1)}


def wait_until_ready(running: RunningStack) -> None:
    """Wait until the API and all workers are ready."""
    running.wait_until(lambda: set(running.readiness().values()) == {200}, description="all are ready again")


def test_emptying_redis_under_load_loses_no_task(running: RunningStack) -> None:
    """Scenario 6. FLUSHALL four times while tasks are created and run: all complete, each is submitted once."""
    running.simulator.change_latency(LatencyChange(call_s=0.2))
    count = 60
    with ThreadPoolExecutor(1) as app:
        creating = app.submit(created, running, "flushed", count)
        for share in (10, 20, 30, 40):
            running.wait_until(
                lambda share=share: running.count(State.COMPLETED) >= share or creating.done(),  # type: ignore[misc]
                description=f"{share} tasks are completed",
                within_s=60,
            )
            assert running.count(*State.__members__.values()) > running.count(State.COMPLETED), "some are still open"
            running.redis.flushall()
        task_ids = creating.result()

    assert_each_submitted_once(running, task_ids)


@pytest.mark.parametrize("silent", [False, True], ids=["refuses connections", "answers nothing"])
def test_while_redis_is_unavailable_tasks_are_created_and_completed_later(running: RunningStack, silent: bool) -> None:
    """
    Scenario 7. While Redis is unavailable, creates answer 201 and `/ready` of the API and the workers answers 503.
    Afterwards all tasks complete, each submitted once, without a restart.
    """
    before = pids(running)
    running.simulator.add_fault("openai.images", Hang(seconds=2.0), prompt="in flight", times=None)
    in_flight = running.create_all([f"in flight {number}" for number in range(4)])
    videos = running.create_all([f"open {number}" for number in range(4)], kind=VIDEO)
    running.wait_for_call("openai.images", times=4)
    with running.unavailable("valkey", silent=silent):
        with ThreadPoolExecutor(4) as apps:
            answers = list(apps.map(running.post, [f"meanwhile {number}" for number in range(4)]))
        assert [answer.status_code for answer in answers] == [201] * 4
        assert set(running.readiness().values()) == {503}
        ended = running.wait_for_end(in_flight)
        assert {task.state for task in ended} == {State.COMPLETED}, "the vendor's responses are stored without Redis"
        meanwhile = [answer.json()["data"]["task_id"] for answer in answers]
        assert {running.task(task_id).state for task_id in meanwhile} == {State.PENDING}

    wait_until_ready(running)
    assert_each_submitted_once(running, [*in_flight, *videos, *meanwhile])
    assert pids(running) == before


@pytest.mark.parametrize("silent", [False, True], ids=["refuses connections", "answers nothing"])
def test_while_mongodb_is_unavailable_creates_are_refused_and_outcomes_are_kept(
    running: RunningStack, silent: bool
) -> None:
    """
    Scenario 8. While MongoDB is unavailable, creates answer 503 and no vendor is called for a task that is not stored.
    Responses of vendors are stored afterwards, also if the outage is longer than the leases. All stored tasks complete,
    each submitted once. (A refused task may be stored: a paused MongoDB reads the insert when it continues.)
    """
    before = pids(running)
    running.simulator.add_fault("openai.images", Hang(seconds=1.0), prompt="in flight", times=None)
    running.simulator.change_latency(LatencyChange(video_s=2.0))
    in_flight = running.create_all([f"in flight {number}" for number in range(6)])
    videos = running.create_all([f"open {number}" for number in range(6)], kind=VIDEO)
    running.wait_for_call("openai.images", times=6)
    running.wait_until(lambda: running.count(State.WAITING) == 6, description="the videos are waiting")
    for worker in running.stack.workers:
        running.pause(worker)
    waiting = running.create_all([f"not started {number}" for number in range(4)])
    with running.unavailable("mongo", silent=silent):
        for worker in running.stack.workers:
            running.resume(worker)
        with ThreadPoolExecutor(4) as apps:
            answers = list(apps.map(running.post, [f"refused {number}" for number in range(4)]))
        assert [answer.status_code for answer in answers] == [503] * 4
        assert set(running.readiness().values()) == {503}
        running.wait_until(lambda: not running.stats().in_flight, description="the vendor has answered all calls")
        prompts = running.stats().prompts
        assert not [prompt for prompt in prompts if prompt.startswith(("not started", "refused"))]

    wait_until_ready(running)
    assert_each_submitted_once(running, [*in_flight, *videos, *waiting])
    assert pids(running) == before
