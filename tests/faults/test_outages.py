"""Scenarios 6 to 8: Redis loses everything, Redis is away, MongoDB is away. All recovers without a restart."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from core.task_states import State
from simulator.control import LatencyChange
from simulator.faults import Hang
from tests.faults.stack_fixture import IMAGE, TEXT, VIDEO, Scene

KINDS = (IMAGE, VIDEO, TEXT)


def pids(scene: Scene) -> dict[str, int | None]:
    """The processes of ours, to tell a restart."""
    return {name: scene.stack[name].pid for name in ("api", *scene.stack.workers)}


def created(scene: Scene, topic: str, count: int) -> list[str]:
    """That many tasks of every kind, in turn; each prompt is unlike any other."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda n: scene.create(f"{topic} {n}", kind=KINDS[n % len(KINDS)]), range(count)))


def assert_each_submitted_once(scene: Scene, task_ids: list[str]) -> None:
    """All that is on record completed, with one attempt each, and the vendor was asked for nothing else."""
    scene.wait_for_end(task_ids, within_s=60)
    tasks = scene.wait_for_end([task.id for task in scene.tasks()])
    assert {task.state for task in tasks} == {State.COMPLETED}, scene.picture()
    assert {len(task.attempts) for task in tasks} == {1}
    counts = scene.stats().prompts
    assert sorted(counts) == sorted(str(task.prompt) for task in tasks)
    assert {(count.received, count.accepted) for count in counts.values()} == {(1, 1)}


def wait_until_ready(scene: Scene) -> None:
    """The API and all workers say that they can work."""
    scene.wait_until(lambda: set(scene.readiness().values()) == {200}, description="all are ready again")


def test_emptying_redis_under_load_loses_nothing(scene: Scene) -> None:
    """Scenario 6. FLUSHALL, again and again, while tasks are created and run: all complete, each submitted once."""
    scene.simulator.change_latency(LatencyChange(call_s=0.2))
    count = 60
    with ThreadPoolExecutor(1) as app:
        creating = app.submit(created, scene, "flushed", count)
        for share in (10, 20, 30, 40):
            scene.wait_until(
                lambda share=share: scene.count(State.COMPLETED) >= share or creating.done(),  # type: ignore[misc]
                description=f"{share} tasks are completed",
                within_s=60,
            )
            assert scene.count(*State.__members__.values()) > scene.count(State.COMPLETED), "some are still open"
            scene.redis.flushall()
        task_ids = creating.result()

    assert_each_submitted_once(scene, task_ids)


@pytest.mark.parametrize("silent", [False, True], ids=["refuses connections", "answers nothing"])
def test_while_redis_is_unavailable_tasks_are_taken_and_later_done(scene: Scene, silent: bool) -> None:
    """
    Scenario 7. Without Redis creating answers 201, and the API and the workers are not ready; with it again all that
    was created completes, submitted once each, and no process was restarted.
    """
    before = pids(scene)
    scene.simulator.add_fault("openai.images", Hang(seconds=2.0), prompt="in flight", times=None)
    in_flight = scene.create_all([f"in flight {number}" for number in range(4)])
    videos = scene.create_all([f"open {number}" for number in range(4)], kind=VIDEO)
    scene.wait_for_call("openai.images", times=4)
    with scene.unavailable("valkey", silent=silent):
        with ThreadPoolExecutor(4) as apps:
            answers = list(apps.map(scene.post, [f"meanwhile {number}" for number in range(4)]))
        assert [answer.status_code for answer in answers] == [201] * 4
        assert set(scene.readiness().values()) == {503}
        ended = scene.wait_for_end(in_flight)
        assert {task.state for task in ended} == {State.COMPLETED}, "what the vendor made is kept without Redis"
        meanwhile = [answer.json()["data"]["task_id"] for answer in answers]
        assert {scene.task(task_id).state for task_id in meanwhile} == {State.PENDING}

    wait_until_ready(scene)
    assert_each_submitted_once(scene, [*in_flight, *videos, *meanwhile])
    assert pids(scene) == before


@pytest.mark.parametrize("silent", [False, True], ids=["refuses connections", "answers nothing"])
def test_while_mongodb_is_unavailable_nothing_is_promised_and_nothing_is_forgotten(scene: Scene, silent: bool) -> None:
    """
    Scenario 8. Without MongoDB creating answers 503 and no vendor is called for what is not on record; what vendors
    answered meanwhile is put on record afterwards, also where the outage outlasts the leases; all that is on record
    completes, submitted once each. (A refused task may be on record: MongoDB may read the call when it goes on.)
    """
    before = pids(scene)
    scene.simulator.add_fault("openai.images", Hang(seconds=1.0), prompt="in flight", times=None)
    scene.simulator.change_latency(LatencyChange(video_s=2.0))
    in_flight = scene.create_all([f"in flight {number}" for number in range(6)])
    videos = scene.create_all([f"open {number}" for number in range(6)], kind=VIDEO)
    scene.wait_for_call("openai.images", times=6)
    scene.wait_until(lambda: scene.count(State.WAITING) == 6, description="the videos are open")
    for worker in scene.stack.workers:
        scene.pause(worker)
    waiting = scene.create_all([f"not begun {number}" for number in range(4)])
    with scene.unavailable("mongo", silent=silent):
        for worker in scene.stack.workers:
            scene.resume(worker)
        with ThreadPoolExecutor(4) as apps:
            answers = list(apps.map(scene.post, [f"refused {number}" for number in range(4)]))
        assert [answer.status_code for answer in answers] == [503] * 4
        assert set(scene.readiness().values()) == {503}
        scene.wait_until(lambda: not scene.stats().in_flight, description="the vendor has answered all")
        prompts = scene.stats().prompts
        assert not [prompt for prompt in prompts if prompt.startswith(("not begun", "refused"))]

    wait_until_ready(scene)
    assert_each_submitted_once(scene, [*in_flight, *videos, *waiting])
    assert pids(scene) == before
