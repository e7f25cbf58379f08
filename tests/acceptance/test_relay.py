"""The relay from outside: the official clients through API, worker and simulator, with only host and keys changed."""

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
T2I, I2I, T2V, AT_ONCE = "jimeng_t2i_v40", "jimeng_i2i_v30", "jimeng_t2v_v30", "jimeng_high_aes_general_v21_L"


@pytest.fixture(scope="module")
def visual(stack: Stack) -> VisualService:
    """The official client, pointed at our server."""
    return visual_service(stack.api_url)


@pytest.fixture
def control(stack: Stack) -> ControlClient:
    """The vendor's counts."""
    return ControlClient(stack.simulator_url or "")


@pytest.fixture
def api(stack: Stack) -> Iterator[httpx.Client]:
    """Plain requests to our server."""
    with httpx.Client(base_url=stack.api_url, trust_env=False, timeout=60) as client:
        yield client


def picture() -> str:
    """A real picture as base64."""
    file = io.BytesIO()
    Image.new("RGB", (640, 360), "navy").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def sent(control: ControlClient, kind: str, prompt: str) -> list[Any]:
    """The bodies of that kind and prompt that the vendor got."""
    return [call.body for call in control.stats().calls if call.kind == kind and call.prompt == prompt]


def task_of(client: Client, task_id: str) -> Any:
    """The task on record, as the unified API shows it."""
    return client.get(task_id)


def test_text_to_image(visual: VisualService, client: Client, control: ControlClient) -> None:
    """Submit, query, pictures: as at the vendor, with one submit there, and a task on record here."""
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


def test_image_to_image(visual: VisualService, control: ControlClient) -> None:
    """An input picture goes to the vendor; without `return_url` the result comes as base64."""
    form: Document = {"req_key": I2I, "prompt": "relay 图生图", "binary_data_base64": [picture()], "scale": 0.5}
    task_id = visual.cv_sync2async_submit_task(form)["data"]["task_id"]
    _, data = until_done(visual.cv_sync2async_get_result, {"req_key": I2I, "task_id": task_id})

    assert data["image_urls"] is None
    assert Image.open(io.BytesIO(base64.b64decode(data["binary_data_base64"][0]))).format == "JPEG"
    assert control.stats().prompts[form["prompt"]].accepted == 1


def test_video(visual: VisualService, client: Client) -> None:
    """A video takes a while and is a link of the vendor's; the copy here is the same file."""
    task_id = visual.cv_sync2async_submit_task({"req_key": T2V, "prompt": "relay 视频", "frames": 121})["data"][
        "task_id"
    ]
    _, data = until_done(visual.cv_sync2async_get_result, {"req_key": T2V, "task_id": task_id})

    content = httpx.get(data["video_url"], trust_env=False).content
    assert b"ftyp" in content[:16]
    assert httpx.get(client.wait(task_id, timeout_s=20).video_url or "", trust_env=False).content == content


def test_the_digital_human_has_its_own_actions(visual: VisualService) -> None:
    """`CVSubmitTask` and `CVGetResult` go together, as at the vendor."""
    key = "jimeng_realman_avatar_picture_omni_v15"
    form = {"req_key": key, "image_url": "https://example.com/a.png", "audio_url": "https://example.com/a.mp3"}
    task_id = visual.cv_submit_task(form)["data"]["task_id"]
    _, data = until_done(visual.cv_get_result, {"req_key": key, "task_id": task_id})

    assert data["status"] == "done"
    assert data["video_url"]


@pytest.mark.parametrize("return_url", [True, False], ids=["links", "base64"])
def test_a_synchronous_call(visual: VisualService, client: Client, return_url: bool) -> None:
    """`CVProcess` answers with the result, and the same pictures are on record."""
    prompt = f"relay at once {return_url}"
    data = visual.cv_process({"req_key": AT_ONCE, "prompt": prompt, "return_url": return_url})["data"]

    got = (
        httpx.get(data["image_urls"][0], trust_env=False).content
        if return_url
        else base64.b64decode(data["binary_data_base64"][0])
    )
    assert Image.open(io.BytesIO(got)).size == (1024, 1024)
    assert data["algorithm_base_resp"]["status_code"] == 0
    (summary,) = [task for task in client.list(limit=5).tasks if task.prompt == prompt]
    assert httpx.get((client.wait(summary.task_id, timeout_s=20).image_urls or [""])[0], trust_env=False).content == got


def test_the_universal_call(stack: Stack, control: ControlClient) -> None:
    """The newer core SDK, which signs headers of its own, is served all the same, from submit to picture."""
    universal = universal_api(stack.api_url)
    form = {"req_key": T2I, "prompt": "relay universal", "force_single": True}

    answer = universal_call(universal, "CVSync2AsyncSubmitTask", form)
    query = {"req_key": T2I, "task_id": answer["data"]["task_id"], **LINKS}
    _, data = until_done(lambda body: universal_call(universal, "CVSync2AsyncGetResult", body), query)

    assert sent(control, "visual.submit", "relay universal") == [form]
    assert data["image_urls"]


def test_unknown_fields_arrive_untouched(api: httpx.Client, control: ControlClient) -> None:
    """What neither we nor the simulator know is sent on: numbers, nesting and all."""
    form = {"req_key": T2I, "prompt": "relay unknown", "x_new": {"deep": [1, 2.5, None]}, "big": 2**60, "seed": -1}

    answer = api.post("/?Action=CVSync2AsyncSubmitTask&Version=2022-08-31", content=json.dumps(form))

    assert answer.status_code == 200
    assert sent(control, "visual.submit", "relay unknown") == [form]


def test_short_paths(api: httpx.Client) -> None:
    """`/v1/submit` and `/v1/get-result` are the two usual Actions."""
    submitted = api.post("/v1/submit", json={"req_key": T2I, "prompt": "relay short"}).json()
    query = {"req_key": T2I, "task_id": submitted["data"]["task_id"], **LINKS}

    answer = api.post("/v1/get-result", json=query).json()

    assert answer["data"]["status"] in {"in_queue", "generating", "done"}


def test_a_refusal_is_the_vendors(visual: VisualService, stack: Stack) -> None:
    """Status, code and fields are those of the vendor; the client raises as it does there."""
    form = {"req_key": T2I, "prompt": "x" * 900}
    direct = visual_service(stack.simulator_url or "", SIMULATOR)

    ours, theirs = error_of(visual.cv_sync2async_submit_task, form), error_of(direct.cv_sync2async_submit_task, form)

    assert ours["code"] == 50200
    assert {**ours, "request_id": "", "time_elapsed": ""} == {**theirs, "request_id": "", "time_elapsed": ""}


def test_a_task_that_nobody_knows(visual: VisualService) -> None:
    """Made-up ids, and those of the unified API, are `not_found`, with status 200."""
    for task_id in ("7392616336519610409", "task_" + "0" * 32, "x" * 5000):
        answer = visual.cv_sync2async_get_result({"req_key": T2I, "task_id": task_id})
        assert (answer["code"], answer["data"]) == (10000, {"status": "not_found"})


def test_an_unknown_action_is_refused_as_the_gateway_does(api: httpx.Client) -> None:
    """The shape of the signing gateway, with its status."""
    answer = api.post("/?Action=CVDoSomething&Version=2022-08-31", json={})

    assert answer.status_code == 404
    metadata = answer.json()["ResponseMetadata"]
    assert (metadata["Action"], metadata["Version"], metadata["Service"]) == ("CVDoSomething", "2022-08-31", "cv")
    assert metadata["Error"]["Code"] == "InvalidActionOrVersion"
    assert metadata["Error"]["CodeN"] == 100008


def test_relayed_tasks_are_in_lists_and_metrics(api: httpx.Client, visual: VisualService) -> None:
    """A submit is a task like any other."""
    visual.cv_sync2async_submit_task({"req_key": T2I, "prompt": "relay listed"})

    listed = api.get("/api/v1/ai/tasks", params={"provider": "volcengine", "limit": 5}).json()["data"]["tasks"]
    assert [task["type"] for task in listed if task["prompt"] == "relay listed"] == ["image"]
    assert (
        f'polyrelay_tasks_created_total{{model="{T2I}",provider="volcengine",type="image"}}' in api.get("/metrics").text
    )
