"""Limits that all processes share: they do not depend on the number of API processes and workers."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from cli.embedded.ports import free_port
from cli.embedded.processes import ChildProcess, own_environment, own_module
from cli.embedded.readiness import answers
from cli.embedded.stack import Stack
from cli.embedded.upstreams import VENDORS, simulated
from core.clock import utc_now
from core.task_states import State
from repositories.valkey.quotas import PREFIX
from simulator.faults import Hang
from tests.faults.conftest import StackOptions
from tests.faults.stack_fixture import IMAGE, QUICK, RunningStack, run

ONE_AND_TWO = {"UPSTREAM_MAX_CONCURRENT": "1", "UPSTREAM_MAX_QUEUE": "2"}
QUOTA = f"{PREFIX}open:provider:openai"


@pytest.fixture(scope="module")
def stack_options() -> StackOptions:
    """One slot and two queued tasks."""
    return StackOptions(env=ONE_AND_TWO)


@pytest.fixture(scope="module")
def second_api(stack: Stack) -> Iterator[str]:
    """The URL of another API process on the same MongoDB and Redis; it creates no task while Redis is unavailable."""
    port = free_port()
    settings = {"PORT": str(port), "MONGO_URL": stack.mongo_url, "REDIS_URL": stack.redis_url, "AUTH": "none"}
    process = ChildProcess(
        "api-2",
        own_module("cli", "api"),
        env={
            **own_environment(os.environ),
            **simulated(VENDORS, stack.simulator_url or ""),
            "RESULTS_URL": str(stack.folder / "results"),
            **QUICK,
            **ONE_AND_TWO,
            "ACCEPT_WITHOUT_QUEUE": "no",
            **settings,
        },
        log_file=stack.folder / "logs" / "api-2.log",
        ready=answers(f"http://127.0.0.1:{port}/ready"),
        cwd=stack.folder,
    )
    run(process.start())
    yield f"http://127.0.0.1:{port}"
    run(process.stop(grace_s=5.0))


def post(api_url: str, prompt: str) -> httpx.Response:
    """The response of one API process to a create."""
    body = {"provider": IMAGE["provider"], "model": IMAGE["model"], "user_id": "cat", "prompt": prompt}
    return httpx.post(f"{api_url}/api/v1/ai/image/task", json=body, timeout=30, trust_env=False)


@pytest.mark.parametrize("processes", [1, 2])
def test_of_four_at_one_slot_and_a_queue_of_two_the_fourth_is_refused(
    running: RunningStack, second_api: str, processes: int
) -> None:
    """The fourth answers 429 with Retry-After and is not stored; the others complete one at a time, in order."""
    running.simulator.add_fault("openai.images", Hang(seconds=1.5), prompt="four", times=1)
    apis = (running.stack.api_url, second_api)[:processes]
    with ThreadPoolExecutor(4) as callers:
        replies = list(callers.map(lambda n: post(apis[n % processes], f"four {n}"), range(4)))

    assert sorted(reply.status_code for reply in replies) == [201, 201, 201, 429]
    (refused,) = [reply for reply in replies if reply.status_code == 429]
    assert refused.json()["error"]["code"] == "queue_full"
    assert int(refused.headers["retry-after"]) > 0

    done = running.wait_for_end([task.id for task in running.tasks()])
    assert [task.state for task in done] == [State.COMPLETED] * 3
    _, *in_wait_queue = sorted(done, key=lambda task: task.attempt.started)
    assert in_wait_queue == sorted(in_wait_queue, key=lambda task: (task.created, task.id))
    assert post(second_api, "below the limit again").status_code == 201


def test_a_limit_holds_again_after_redis_lost_its_data(running: RunningStack) -> None:
    """Within a reconcile period the stored tasks count again, and the limit refuses further ones."""
    running.simulator.add_fault("openai.images", Hang(seconds=20), prompt="lost", times=None)
    assert [running.post(f"lost {number}").status_code for number in range(4)] == [201, 201, 201, 429]

    running.redis.flushall()
    running.wait_until(lambda: running.redis.zcard(QUOTA) == 3, description="the open tasks count again")
    assert running.post("lost 4").status_code == 429


def test_quota_taken_by_a_crashed_process_is_released(running: RunningStack) -> None:
    """Quota counted for tasks that were never stored is released by the reconciler."""
    later = int(utc_now().timestamp() * 1000) + 600_000
    running.redis.zadd(QUOTA, {f"task_{number}": later for number in range(3)})
    running.redis.sadd("polyrelay:quotas", "open:provider:openai")
    assert running.post("refused").status_code == 429

    running.wait_until(lambda: running.redis.zcard(QUOTA) == 0, description="tasks that are not stored count no longer")
    assert running.post("created").status_code == 201


@pytest.mark.parametrize("silent", [False, True], ids=["refuses connections", "answers nothing"])
def test_while_redis_is_unavailable_tasks_are_created_up_to_the_limit_or_refused_as_configured(
    running: RunningStack, second_api: str, silent: bool
) -> None:
    """With `ACCEPT_WITHOUT_QUEUE=no` a create answers 503 and stores nothing; else stored tasks are counted."""
    with running.unavailable("valkey", silent=silent):
        refused = post(second_api, "refused")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "queue_unavailable")
        assert int(refused.headers["retry-after"]) > 0
        assert running.tasks() == []
        assert [running.post(f"created {number}").status_code for number in range(4)] == [201, 201, 201, 429]

    running.wait_for_end([task.id for task in running.tasks()])
    running.wait_until(
        lambda: post(second_api, "created again").status_code == 201, description="the second API process creates tasks"
    )
