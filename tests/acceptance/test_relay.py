"""The relay with the vendor's official clients, through API, worker and simulator; only host and keys differ."""

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image
from volcengine.visual.VisualService import VisualService

from cli.embedded.stack import Stack
from polyrelay.client import Client
from simulator.process import ControlClient
from tests.acceptance.relay_clients import (
    LINKS,
    Document,
    error_of,
    universal_api,
    universal_call,
    until_done,
    visual_service,
)

SIMULATOR = ("AKLTsimulator", "simulator-secret")
T2I, I2I, T2V, SYNCHRONOUS = "jimeng_t2i_v40", "jimeng_i2i_v30", "jimeng_t2v_v30", "jimeng_high_aes_general_v21_L"


@pytest.fixture(scope="module")
def visual(stack: Stack) -> VisualService:
    """The official client with the host of the running API."""
    return visual_service(stack.api_url)


@pytest.fixture
def control(stack: Stack) -> ControlClient:
    """Control of the simulator, for its counts."""
    return ControlClient(stack.simulator_url or "")


@pytest.fixture
def api(stack: Stack) -> Iterator[httpx.Client]:
    """A plain HTTP client of the running API."""
    with httpx.Client(base_url=stack.api_url, trust_env=False, timeout=60) as client:
        yield client


def picture() -> str:
    """A PNG image as base64."""
    file = io.BytesIO()
    Image.new("RGB", (640, 360), "navy").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def sent(control: ControlClient, kind: str, prompt: str) -> list[Any]:
    """The bodies of the calls of that kind with that prompt that the vendor received."""
    return [call.body for call in control.stats().calls if call.kind == kind and call.prompt == prompt]


def test_text_to_image_answers_as_at_the_vendor(visual: VisualService, client: Client, control: ControlClient) -> None:
    """Submit and query answer as at the vendor; the vendor receives one submit, and the task has the same image."""
    form: Document = {"req_key": T2I, "prompt": "relay 文生图", "width": 1152, "height": 1024, "force_single": True}
    answer = visual.cv_sync2async_submit_task(form)
    task_id = answer["data"]["task_id"]
    seen, data = until_done(visual.cv_sync2async_get_result, {"req_key": T2I, "task_id": task_id, **LINKS})

    assert (answer["code"], answer["status"], answer["message"]) == (10000, 10000, "Success")
    assert task_id.startswith("task_")
    assert seen[-1] == "done"
    content = httpx.get(data["image_urls"][0], trust_env=False).content
    assert Image.open(io.BytesIO(content)).size == (1152, 1024)
    assert sent(control, "visual.submit", form["prompt"]) == [form]
    task = client.wait(task_id, timeout_s=20)
    assert (task.status, task.provider, task.model) == ("completed", "volcengine", T2I)
    assert httpx.get((task.image_urls or [""])[0], trust_env=False).content == content


def test_image_to_image_sends_the_input_and_answers_base64(visual: VisualService, control: ControlClient) -> None:
    """An input image is sent to the vendor; without `return_url` the result is base64."""
    form: Document = {"req_key": I2I, "prompt": "relay 图生图", "binary_data_base64": [picture()], "scale": 0.5}
    task_id = visual.cv_sync2async_submit_task(form)["data"]["task_id"]
    _, data = until_done(visual.cv_sync2async_get_result, {"req_key": I2I, "task_id": task_id})

    assert data["image_urls"] is None
    assert Image.open(io.BytesIO(base64.b64decode(data["binary_data_base64"][0]))).format == "JPEG"
    assert control.stats().prompts[form["prompt"]].accepted == 1


def test_a_video_is_answered_as_a_link_and_copied(visual: VisualService, client: Client) -> None:
    """The result is a link of the vendor; the task's own copy is the same file."""
    task_id = visual.cv_sync2async_submit_task({"req_key": T2V, "prompt": "relay 视频", "frames": 121})["data"][
        "task_id"
    ]
    _, data = until_done(visual.cv_sync2async_get_result, {"req_key": T2V, "task_id": task_id})

    content = httpx.get(data["video_url"], trust_env=False).content
    assert b"ftyp" in content[:16]
    assert httpx.get(client.wait(task_id, timeout_s=20).video_url or "", trust_env=False).content == content


def test_the_digital_human_uses_cv_submit_task_and_cv_get_result(visual: VisualService) -> None:
    """The digital human is submitted with `CVSubmitTask` and queried with `CVGetResult`, as at the vendor."""
    key = "jimeng_realman_avatar_picture_omni_v15"
    form = {"req_key": key, "image_url": "https://example.com/a.png", "audio_url": "https://example.com/a.mp3"}
    task_id = visual.cv_submit_task(form)["data"]["task_id"]
    _, data = until_done(visual.cv_get_result, {"req_key": key, "task_id": task_id})

    assert data["status"] == "done"
    assert data["video_url"]


@pytest.mark.parametrize("return_url", [True, False], ids=["links", "base64"])
def test_a_synchronous_call_answers_with_the_result(visual: VisualService, client: Client, return_url: bool) -> None:
    """`CVProcess` answers with the result, and the task has the same image."""
    prompt = f"relay synchronous {return_url}"
    data = visual.cv_process({"req_key": SYNCHRONOUS, "prompt": prompt, "return_url": return_url})["data"]

    got = (
        httpx.get(data["image_urls"][0], trust_env=False).content
        if return_url
        else base64.b64decode(data["binary_data_base64"][0])
    )
    assert Image.open(io.BytesIO(got)).size == (1024, 1024)
    assert data["algorithm_base_resp"]["status_code"] == 0
    (summary,) = [task for task in client.list(limit=5).tasks if task.prompt == prompt]
    assert httpx.get((client.wait(summary.task_id, timeout_s=20).image_urls or [""])[0], trust_env=False).content == got


def test_the_universal_client_submits_and_queries(stack: Stack, control: ControlClient) -> None:
    """The universal client, which signs two more headers, can submit and query."""
    universal = universal_api(stack.api_url)
    form = {"req_key": T2I, "prompt": "relay universal", "force_single": True}

    answer = universal_call(universal, "CVSync2AsyncSubmitTask", form)
    query = {"req_key": T2I, "task_id": answer["data"]["task_id"], **LINKS}
    _, data = until_done(lambda body: universal_call(universal, "CVSync2AsyncGetResult", body), query)

    assert sent(control, "visual.submit", "relay universal") == [form]
    assert data["image_urls"]


def test_unknown_fields_are_sent_unchanged(api: httpx.Client, control: ControlClient) -> None:
    """Fields that are not documented reach the vendor unchanged, nested ones and numbers too."""
    form = {"req_key": T2I, "prompt": "relay unknown", "x_new": {"deep": [1, 2.5, None]}, "big": 2**60, "seed": -1}

    answer = api.post("/?Action=CVSync2AsyncSubmitTask&Version=2022-08-31", content=json.dumps(form))

    assert answer.status_code == 200
    assert sent(control, "visual.submit", "relay unknown") == [form]


def test_short_paths_stand_for_submit_and_query(api: httpx.Client) -> None:
    """`/v1/submit` and `/v1/get-result` are short for the Actions of submit and query."""
    submitted = api.post("/v1/submit", json={"req_key": T2I, "prompt": "relay short"}).json()
    query = {"req_key": T2I, "task_id": submitted["data"]["task_id"], **LINKS}

    answer = api.post("/v1/get-result", json=query).json()

    assert answer["data"]["status"] in {"in_queue", "generating", "done"}


def test_a_refusal_is_that_of_the_vendor(visual: VisualService, stack: Stack) -> None:
    """Status, code and fields are equal to the vendor's, so the client raises the same error."""
    form = {"req_key": T2I, "prompt": "x" * 900}
    direct = visual_service(stack.simulator_url or "", SIMULATOR)

    ours, theirs = error_of(visual.cv_sync2async_submit_task, form), error_of(direct.cv_sync2async_submit_task, form)

    assert ours["code"] == 50200
    assert {**ours, "request_id": "", "time_elapsed": ""} == {**theirs, "request_id": "", "time_elapsed": ""}


def test_an_unknown_task_is_not_found(visual: VisualService) -> None:
    """A query with an unknown id answers `not_found` with status 200."""
    for task_id in ("7392616336519610409", "task_" + "0" * 32, "x" * 5000):
        answer = visual.cv_sync2async_get_result({"req_key": T2I, "task_id": task_id})
        assert (answer["code"], answer["data"]) == (10000, {"status": "not_found"})


def test_an_unknown_action_is_refused_as_the_gateway_does(api: httpx.Client) -> None:
    """An unknown Action answers 404 with the error of the vendor's gateway."""
    answer = api.post("/?Action=CVDoSomething&Version=2022-08-31", json={})

    assert answer.status_code == 404
    metadata = answer.json()["ResponseMetadata"]
    assert (metadata["Action"], metadata["Version"], metadata["Service"]) == ("CVDoSomething", "2022-08-31", "cv")
    assert metadata["Error"]["Code"] == "InvalidActionOrVersion"
    assert metadata["Error"]["CodeN"] == 100008


def test_relayed_tasks_are_in_lists_and_metrics(api: httpx.Client, visual: VisualService) -> None:
    """A relayed submit is listed and counted as a task."""
    visual.cv_sync2async_submit_task({"req_key": T2I, "prompt": "relay listed"})

    listed = api.get("/api/v1/ai/tasks", params={"provider": "volcengine", "limit": 5}).json()["data"]["tasks"]
    assert [task["type"] for task in listed if task["prompt"] == "relay listed"] == ["image"]
    assert (
        f'polyrelay_tasks_created_total{{model="{T2I}",provider="volcengine",type="image"}}' in api.get("/metrics").text
    )
