"""Faults of the relay: a caller gets the known outcome after a crash, and nothing is submitted twice."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from core.task_states import State
from simulator.control import LatencyChange
from simulator.faults import CutAfter, Hang
from tests.faults.conftest import StackOptions
from tests.faults.stack_fixture import RunningStack

LONG_S = 300.0
T2I, SYNCHRONOUS = "jimeng_t2i_v40", "jimeng_high_aes_general_v21_L"


@pytest.fixture(scope="module")
def stack_options() -> StackOptions:
    """`RELAY_PATIENCE` is longer than a lease."""
    return StackOptions(env={"RELAY_PATIENCE": "12s"})


def post(running: RunningStack, action: str, body: dict[str, Any]) -> httpx.Response:
    """The response of the relay to a call."""
    url = f"{running.stack.api_url}/?Action={action}&Version=2022-08-31"
    return httpx.post(url, json=body, timeout=60, trust_env=False)


def submit(running: RunningStack, caller: ThreadPoolExecutor, prompt: str, **fields: Any) -> "Future[httpx.Response]":
    """Send a submit in a thread; the response comes with the future."""
    body = {"req_key": T2I, "prompt": prompt, **fields}
    return caller.submit(post, running, "CVSync2AsyncSubmitTask", body)


def only_task(running: RunningStack) -> str:
    """The id of the only task, once it is stored."""
    running.wait_until(lambda: running.documents.count_documents({}), description="the task is stored")
    (task,) = running.tasks()
    return task.id


def test_a_worker_killed_after_the_vendor_accepted_is_reported_as_unknown(running: RunningStack) -> None:
    """The response, in the vendor's format, says that the vendor may have accepted and billed it; one submit."""
    prompt = "relay, killed after the vendor accepted"
    running.simulator.add_fault("visual.submit", Hang(seconds=LONG_S, accepted=True), prompt=prompt)
    with ThreadPoolExecutor(1) as caller:
        response = submit(running, caller, prompt)
        running.wait_until(lambda: running.submits(prompt).accepted, description="the vendor accepted")
        running.kill(running.worker_of(only_task(running)))
        answer = response.result(60)

    assert answer.status_code == 500
    body = answer.json()
    assert (body["code"], body["data"]) == (50500, None)
    assert "may have accepted and billed" in body["message"]
    (task,) = running.tasks()
    assert task.state is State.FAILED
    assert (running.submits(prompt).received, running.submits(prompt).accepted) == (1, 1)


def test_a_connection_cut_after_the_vendor_accepted_is_reported_as_unknown(running: RunningStack) -> None:
    """The same response without delay; one submit."""
    prompt = "relay, cut after the vendor accepted"
    running.simulator.add_fault("visual.*", CutAfter(), prompt=prompt)

    answer = post(running, "CVSync2AsyncSubmitTask", {"req_key": T2I, "prompt": prompt})

    assert (answer.status_code, answer.json()["code"]) == (500, 50500)
    assert "may have accepted and billed" in answer.json()["message"]
    assert running.submits(prompt).received == 1


def test_a_killed_api_process_loses_no_task(running: RunningStack) -> None:
    """The caller loses its connection; the task completes and can be queried by its id."""
    prompt = "relay, the api is killed while its caller waits"
    running.simulator.change_latency(LatencyChange(call_s=1.0))
    with ThreadPoolExecutor(1) as caller:
        response = submit(running, caller, prompt)
        running.wait_until(lambda: running.submits(prompt).received, description="the vendor received the submit")
        running.kill("api")
        assert response.exception(60) is not None
    running.start("api")

    (task,) = running.wait_for_end([only_task(running)])
    assert task.state is State.COMPLETED
    answer = post(running, "CVSync2AsyncGetResult", {"req_key": T2I, "task_id": task.id})
    assert answer.json()["data"]["status"] == "done"
    assert running.submits(prompt).received == 1


def test_a_caller_is_answered_while_valkey_is_unavailable(running: RunningStack) -> None:
    """The submit is answered after `RELAY_PATIENCE`; the task completes once Valkey is available."""
    prompt = "relay, valkey unavailable"
    with running.unavailable("valkey", silent=False):
        answer = post(running, "CVSync2AsyncSubmitTask", {"req_key": T2I, "prompt": prompt})

    body = answer.json()
    assert (answer.status_code, body["code"]) == (200, 10000)
    (task,) = running.wait_for_end([body["data"]["task_id"]])
    assert task.state is State.COMPLETED
    assert running.submits(prompt).received == 1


def test_a_synchronous_call_is_answered_after_another_worker_was_killed(running: RunningStack) -> None:
    """`CVProcess` is answered with the result by the remaining worker."""
    prompt = "relay, synchronous"
    first, second = running.stack.workers
    running.kill(first)

    answer = post(running, "CVProcess", {"req_key": SYNCHRONOUS, "prompt": prompt, "return_url": True})

    assert answer.status_code == 200
    assert answer.json()["data"]["image_urls"]
    assert running.stack[second].running


def test_a_stopping_api_process_answers_its_waiting_callers(running: RunningStack) -> None:
    """After SIGTERM, a waiting caller still gets the vendor's response."""
    prompt = "relay, the api is stopped while its caller waits"
    running.simulator.change_latency(LatencyChange(call_s=2.0))
    with ThreadPoolExecutor(1) as caller:
        response = submit(running, caller, prompt)
        running.wait_until(lambda: running.documents.count_documents({}), description="the task is stored")
        running.terminate("api")
        answer = response.result(60)
    running.wait_until(lambda: not running.stack["api"].running, description="the api has stopped")

    assert answer.status_code == 200
    assert answer.json()["data"]["task_id"] == only_task(running)
