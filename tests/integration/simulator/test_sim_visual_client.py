"""The simulator as the official `volcengine` client, and `volcenginesdkcore`, see Volcengine visual."""

import ast
import base64
import io
import json
from collections.abc import Callable
from typing import Any

import av
import httpx
import pytest
import volcenginesdkcore
from PIL import Image
from volcengine.visual.VisualService import VisualService
from volcenginesdkcore.rest import ApiException
from volcenginesdkcore.universal import UniversalApi, UniversalInfo

from simulator.control import LatencyChange
from simulator.faults import Backwards, CutAfter, Error, Expired, FailGeneration, NeverEnds, Result403, UnknownStatus
from simulator.process import ControlClient


@pytest.fixture(scope="session")
def visual(sim_url: str) -> VisualService:
    """The client; a singleton whose constructor resets it, so it is built once."""
    service = VisualService()
    service.set_host(sim_url.removeprefix("http://"))
    service.set_scheme("http")
    service.set_ak("AKLTsimulator")
    service.set_sk("simulator-secret")
    return service


def error_of(call: Callable[[dict[str, Any]], Any], form: dict[str, Any]) -> dict[str, Any]:
    """The error body; the client raises a bare exception with the repr of the answer's bytes."""
    with pytest.raises(Exception, match=r"\{") as caught:
        call(form)
    document: dict[str, Any] = json.loads(ast.literal_eval(str(caught.value)))
    return document


def submitted(visual: VisualService, **form: Any) -> dict[str, Any]:
    """Submit, and return the query's form."""
    answer = visual.cv_sync2async_submit_task(form)
    assert answer["code"] == 10000
    assert isinstance(answer["time_elapsed"], str)
    return {"req_key": form["req_key"], "task_id": answer["data"]["task_id"]}


def until_done(visual: VisualService, query: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Query until it is over; the different statuses in their order, and the last data."""
    seen: list[str] = []
    for _ in range(3000):
        data = visual.cv_sync2async_get_result(query)["data"]
        if data["status"] not in seen[-1:]:
            seen.append(data["status"])
        if data["status"] not in {"in_queue", "generating"}:
            return seen, data
    raise AssertionError(f"not over, saw {seen}")


def test_21_answers_at_once_with_links_or_base64(visual: VisualService, control: ControlClient) -> None:
    """`return_url` in the body decides; `use_sr` doubles the sides; the link serves the very picture."""
    form = {"req_key": "jimeng_high_aes_general_v21_L", "prompt": "猫", "width": 512, "height": 384}
    linked = visual.cv_process({**form, "return_url": True})["data"]
    inline = visual.cv_process(form)["data"]
    download = httpx.get(linked["image_urls"][0], trust_env=False)
    assert download.headers["content-type"] == "image/jpeg"
    assert inline["image_urls"] is None
    assert base64.b64decode(inline["binary_data_base64"][0]) == download.content
    assert Image.open(io.BytesIO(download.content)).size == (1024, 768)
    assert control.stats().received["visual.process"] == 2


def test_an_image_goes_through_its_phases(visual: VisualService, control: ControlClient) -> None:
    """in_queue, generating, done; `req_json` of the query decides about links."""
    control.change_latency(LatencyChange(image_s=0.4))
    query = submitted(visual, req_key="jimeng_t2i_v40", prompt="3张猫", width=2304, height=1728)
    seen, data = until_done(visual, query | {"req_json": '{"return_url": true, "logo_info": {"add_logo": false}}'})
    assert seen == ["in_queue", "generating", "done"]
    assert len(data["image_urls"]) == 3
    assert data["binary_data_base64"] is None
    inline = visual.cv_sync2async_get_result(query)["data"]
    assert inline["image_urls"] is None
    assert [Image.open(io.BytesIO(base64.b64decode(text))).size for text in inline["binary_data_base64"]] == [
        (2304, 1728)
    ] * 3


def test_a_video_is_a_link_to_an_mp4(visual: VisualService, control: ControlClient) -> None:
    """The file plays and has the asked shape."""
    query = submitted(visual, req_key="jimeng_t2v_v30_1080p", prompt="猫", aspect_ratio="9:16")
    _, data = until_done(visual, query)
    assert set(data) == {"status", "video_url", "aigc_meta_tagged"}
    content = httpx.get(data["video_url"], trust_env=False).content
    with av.open(io.BytesIO(content), "r") as container:
        assert container.streams.video[0].height > container.streams.video[0].width
        assert container.duration == pytest.approx(5_000_000, rel=0.01)


def test_the_digital_human_has_its_own_family(visual: VisualService, control: ControlClient) -> None:
    """Its tasks are submitted with CVSubmitTask, and only CVGetResult knows them."""
    form = {
        "req_key": "jimeng_realman_avatar_picture_omni_v15",
        "image_url": "https://example.com/a.png",
        "audio_url": "https://example.com/a.mp3",
    }
    task_id = visual.cv_submit_task(form)["data"]["task_id"]
    query = {"req_key": form["req_key"], "task_id": task_id}
    assert visual.cv_get_result(query)["data"]["status"] in {"in_queue", "generating", "done"}
    assert visual.cv_sync2async_get_result(query)["data"]["status"] == "not_found"
    assert error_of(visual.cv_sync2async_submit_task, form)["code"] == 50402


def test_a_cancelled_task_is_gone(visual: VisualService, control: ControlClient) -> None:
    """CVCancelTask stops an open task; an unknown one is an error."""
    control.change_latency(LatencyChange(video_s=60))
    query = submitted(visual, req_key="jimeng_t2v_v30", prompt="猫")
    assert visual.cv_cancel_task(query)["code"] == 10000
    assert until_done(visual, query)[0] == ["not_found"]
    assert error_of(visual.cv_cancel_task, query)["code"] == 50215


def test_the_querys_key_must_be_the_submits(visual: VisualService, control: ControlClient) -> None:
    """An image-to-video task queried with the text-to-video key is refused; a made-up id is not_found."""
    query = submitted(visual, req_key="jimeng_vgfm_i2v_l20", image_urls=["https://example.com/a.png"])
    wrong = query | {"req_key": "jimeng_vgfm_t2v_l20"}
    assert error_of(visual.cv_sync2async_get_result, wrong)["code"] == 50215
    unknown = visual.cv_sync2async_get_result({"req_key": "jimeng_t2i_v40", "task_id": "1"})
    assert (unknown["code"], unknown["data"]["status"]) == (10000, "not_found")


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"req_key": "jimeng_t2i_v40"}, 50201),
        ({"req_key": "jimeng_t2i_v40", "prompt": 5}, 50204),
        ({"req_key": "jimeng_t2i_v40", "prompt": "猫", "size": 1}, 50200),
        ({"req_key": "jimeng_t9i_v99", "prompt": "猫"}, 50402),
        ({"prompt": "猫"}, 50201),
    ],
)
def test_bad_params_are_business_errors(
    visual: VisualService, control: ControlClient, form: dict[str, Any], code: int
) -> None:
    """Missing, mistyped and out-of-range fields have their codes, `data` is null, and nothing counts as submitted."""
    body = error_of(visual.cv_sync2async_submit_task, form)
    assert (body["code"], body["status"], body["data"]) == (code, code, None)
    assert control.stats().received == {}
    assert control.stats().refused == {f"visual:{code}": 1}


def test_a_wrong_secret_is_the_gateways_error(visual: VisualService, control: ControlClient) -> None:
    """The gateway's envelope, before the business service sees anything."""
    visual.set_sk("wrong")
    try:
        body = error_of(visual.cv_process, {"req_key": "jimeng_high_aes_general_v21_L", "prompt": "猫"})
    finally:
        visual.set_sk("simulator-secret")
    metadata = body["ResponseMetadata"]
    assert metadata["Action"] == "CVProcess"
    assert (metadata["Error"]["CodeN"], metadata["Error"]["Code"]) == (100010, "SignatureDoesNotMatch")


def test_an_unsigned_or_unknown_action_is_refused(sim_url: str, control: ControlClient) -> None:
    """Without a signature 401 in the gateway's envelope, whatever the Action."""
    answer = httpx.post(f"{sim_url}/?Action=CVProcess&Version=2022-08-31", json={}, trust_env=False)
    assert answer.status_code == 401
    assert answer.json()["ResponseMetadata"]["Error"]["Code"] == "MissingAuthenticationToken"


@pytest.mark.parametrize(("code", "status"), [(50429, 429), (50430, 429), (50411, 400), (50500, 500)])
def test_an_error_fault_is_not_accepted(
    visual: VisualService, sim_url: str, control: ControlClient, code: int, status: int
) -> None:
    """The submit is counted as received, not as accepted, and the next one goes through."""
    control.add_fault("visual.submit", Error(code=code))
    form = {"req_key": "jimeng_t2i_v40", "prompt": "猫"}
    assert error_of(visual.cv_sync2async_submit_task, form)["code"] == code
    submitted(visual, **form)
    count = control.stats().prompts["猫"]
    assert (count.received, count.accepted) == (2, 1)
    assert control.stats().refused == {f"visual:{code}": 1}


@pytest.mark.parametrize("with_data", [False, True])
def test_done_may_be_a_failure(visual: VisualService, control: ControlClient, with_data: bool) -> None:
    """The code of the query's answer tells; `data` is null or says done."""
    control.change_latency(LatencyChange(image_s=0))
    control.add_fault("visual.submit", FailGeneration(code=50511, with_data=with_data))
    query = submitted(visual, req_key="jimeng_t2i_v40", prompt="猫")
    body = error_of(visual.cv_sync2async_get_result, query)
    assert body["code"] == 50511
    assert body["data"] == ({"status": "done"} if with_data else None)


def test_odd_statuses_on_demand(visual: VisualService, control: ControlClient) -> None:
    """Unknown, backwards and never ending, for one query or for the whole life."""
    control.change_latency(LatencyChange(image_s=0))
    control.add_fault("visual.submit", NeverEnds(), prompt="无尽")
    control.add_fault("visual.submit", Expired(), prompt="过期")
    endless = submitted(visual, req_key="jimeng_t2i_v40", prompt="无尽")
    expired = submitted(visual, req_key="jimeng_t2i_v40", prompt="过期")
    assert until_done(visual, expired)[0] == ["expired"]
    control.add_fault("visual.query", UnknownStatus(status="melting"))
    control.add_fault("visual.query", Backwards())
    statuses = [visual.cv_sync2async_get_result(endless)["data"]["status"] for _ in range(3)]
    assert statuses == ["melting", "in_queue", "generating"]
    assert control.stats().open == 1


def test_result_links_can_be_forbidden(visual: VisualService, control: ControlClient) -> None:
    """The operation is fine, its links answer 403; a name that was never given out is 404."""
    control.add_fault("visual.submit", Result403())
    query = submitted(visual, req_key="jimeng_t2v_v30", prompt="猫")
    link = until_done(visual, query)[1]["video_url"]
    assert httpx.get(link, trust_env=False).status_code == 403
    assert httpx.get(link.replace(".mp4", ".png"), trust_env=False).status_code == 404


def test_a_cut_after_accepting_leaves_a_billed_operation(visual: VisualService, control: ControlClient) -> None:
    """The client sees a broken connection, the simulator an accepted submit."""
    control.add_fault("visual.submit", CutAfter())
    with pytest.raises(Exception, match=r"(?i)connection|aborted|disconnect"):
        visual.cv_sync2async_submit_task({"req_key": "jimeng_t2i_v40", "prompt": "猫"})
    stats = control.stats()
    assert (stats.prompts["猫"].accepted, stats.operations) == (1, 1)


def test_the_universal_client_signs_more_headers_and_passes(sim_url: str, control: ControlClient) -> None:
    """volcenginesdkcore signs `X-Sdk-*` headers too; the verifier honours what the client lists."""
    configuration = volcenginesdkcore.Configuration()
    configuration.host, configuration.scheme = sim_url.removeprefix("http://"), "http"
    configuration.ak, configuration.sk, configuration.region = "AKLTsimulator", "simulator-secret", "cn-north-1"
    info = UniversalInfo(
        method="POST", service="cv", version="2022-08-31", action="CVProcess", content_type="application/json"
    )
    body = {"req_key": "jimeng_high_aes_general_v21_L", "prompt": "universal 猫"}
    # The client knows no business envelope and says so; what counts is that the gateway let the call through.
    with pytest.raises(ApiException, match="InternalServiceError"):
        UniversalApi(volcenginesdkcore.ApiClient(configuration)).do_call(info, body)
    assert control.stats().prompts["universal 猫"].accepted == 1
