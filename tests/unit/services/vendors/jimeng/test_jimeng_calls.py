"""The exact requests of each Jimeng model."""

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from msgspec import structs

from core.catalogue import Entry
from polyrelay import Job, Pending, ProtocolError, Rejected, Secret
from services.vendors.jimeng import Jimeng, jimeng_http

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\nrest").decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0rest").decode()
LINK = "https://pictures.test/a.png"
AIGC = {"producer_id": "p1", "content_propagator": "c1"}

SUBMISSIONS: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    (
        "jimeng_high_aes_general_v21_L",
        {"prompt": "一只猫", "size": "512x384", "seed": 7, "use_sr": True, "logo_info": {"add_logo": True}},
        "CVProcess",
        {
            "prompt": "一只猫",
            "width": 512,
            "height": 384,
            "seed": 7,
            "use_sr": True,
            "return_url": True,
            "logo_info": {"add_logo": True},
        },
    ),
    (
        "jimeng_high_aes_general_v21_L",
        {"prompt": "cat", "width": 768, "height": 256, "use_pre_llm": False, "return_url": False},
        "CVProcess",
        {"prompt": "cat", "width": 768, "height": 256, "use_pre_llm": False, "return_url": False},
    ),
    (
        "jimeng_t2i_v30",
        {"prompt": "cat", "size": "1472x1104"},
        "CVSync2AsyncSubmitTask",
        {"prompt": "cat", "width": 1472, "height": 1104},
    ),
    (
        "jimeng_t2i_v31",
        {"prompt": "cat", "size": "3024x1296", "seed": -1},
        "CVSync2AsyncSubmitTask",
        {"prompt": "cat", "width": 3024, "height": 1296, "seed": -1},
    ),
    (
        "jimeng_i2i_v30",
        {"prompt": "a hat", "image_urls": [LINK], "scale": 0.25, "width": 1024, "height": 2016},
        "CVSync2AsyncSubmitTask",
        {"prompt": "a hat", "image_urls": [LINK], "scale": 0.25, "width": 1024, "height": 2016},
    ),
    (
        "jimeng_t2i_v40",
        {"prompt": "cat", "size": "2K", "logo_info": {"add_logo": True}, "aigc_meta": {"producer_id": "p1"}},
        "CVSync2AsyncSubmitTask",
        {"prompt": "cat", "size": 4194304, "force_single": True},
    ),
    (
        "jimeng_t2i_v40",
        {"prompt": "cat", "size": "2560x1440", "force_single": False, "image_urls": [LINK, LINK]},
        "CVSync2AsyncSubmitTask",
        {"prompt": "cat", "width": 2560, "height": 1440, "force_single": False, "image_urls": [LINK, LINK]},
    ),
    (
        "jimeng_t2i_v40",
        {"prompt": "cat", "size": "5000000", "binary_data_base64": [PNG], "scale": 0.5},
        "CVSync2AsyncSubmitTask",
        {"prompt": "cat", "size": 5000000, "force_single": True, "binary_data_base64": [PNG], "scale": 0.5},
    ),
    (
        "jimeng_t2i_v40",
        {"prompt": "cat", "width": 4096, "height": 1024, "max_ratio": 4},
        "CVSync2AsyncSubmitTask",
        {"prompt": "cat", "width": 4096, "height": 1024, "max_ratio": 4.0, "force_single": True},
    ),
    (
        "jimeng_seedream46_cvtob",
        {"prompt": "cat", "scale": 50},
        "CVSync2AsyncSubmitTask",
        {"prompt": "cat", "scale": 50, "force_single": True},
    ),
    (
        "jimeng_image2image_dream_inpaint",
        {"prompt": "删除", "binary_data_base64": [JPEG, PNG], "seed": 101},
        "CVSync2AsyncSubmitTask",
        {"prompt": "删除", "binary_data_base64": [JPEG, PNG], "seed": 101},
    ),
    (
        "img2img_inpainting_edit_zi2i",
        {"prompt": "a door", "image_urls": [LINK, LINK], "steps": 25, "scale": 5},
        "CVProcess",
        {"custom_prompt": "a door", "image_urls": [LINK, LINK], "steps": 25, "scale": 5.0, "return_url": True},
    ),
    (
        "jimeng_vgfm_t2v_l20",
        {"prompt": "rain", "aspect_ratio": "21:9", "seed": 3},
        "CVSync2AsyncSubmitTask",
        {"prompt": "rain", "aspect_ratio": "21:9", "seed": 3},
    ),
    (
        "jimeng_vgfm_i2v_l20",
        {"prompt": "rain", "aspect_ratio": "9:21", "binary_data_base64": [JPEG]},
        "CVSync2AsyncSubmitTask",
        {"prompt": "rain", "aspect_ratio": "9:21", "binary_data_base64": [JPEG]},
    ),
    (
        "jimeng_t2v_v30_1080p",
        {"prompt": "rain", "duration": 10, "aspect_ratio": "1:1", "aigc_meta": AIGC},
        "CVSync2AsyncSubmitTask",
        {"prompt": "rain", "frames": 241, "aspect_ratio": "1:1"},
    ),
    (
        "jimeng_i2v_first_v30_1080",
        {"prompt": "rain", "image_urls": [LINK]},
        "CVSync2AsyncSubmitTask",
        {"prompt": "rain", "frames": 121, "image_urls": [LINK]},
    ),
    (
        "jimeng_i2v_first_tail_v30",
        {"prompt": "rain", "image_urls": [LINK, LINK], "frames": 241},
        "CVSync2AsyncSubmitTask",
        {"prompt": "rain", "frames": 241, "image_urls": [LINK, LINK]},
    ),
    (
        "jimeng_i2v_recamera_v30",
        {"image_urls": [LINK], "template_id": "robo_arm", "camera_strength": "weak", "duration": 5},
        "CVSync2AsyncSubmitTask",
        {"image_urls": [LINK], "template_id": "robo_arm", "camera_strength": "weak", "frames": 121},
    ),
    (
        "jimeng_ti2v_v30_pro",
        {"prompt": "rain", "aspect_ratio": "16:9"},
        "CVSync2AsyncSubmitTask",
        {"prompt": "rain", "aspect_ratio": "16:9", "frames": 121},
    ),
    (
        "jimeng_ti2v_v30_pro",
        {"image_urls": [LINK]},
        "CVSync2AsyncSubmitTask",
        {"image_urls": [LINK], "frames": 121},
    ),
    (
        "jimeng_realman_avatar_picture_omni_v15",
        {"image_urls": [LINK], "audio_url": "https://sounds.test/a.mp3", "mask_urls": [LINK], "pe_fast_mode": True},
        "CVSubmitTask",
        {"image_url": LINK, "audio_url": "https://sounds.test/a.mp3", "mask_url": [LINK], "pe_fast_mode": True},
    ),
]


@pytest.mark.parametrize(("model", "fields", "action", "body"), SUBMISSIONS)
async def test_a_submission_is_exactly_this(
    jimeng: Jimeng,
    vendor: Any,
    job_of: Callable[..., Job[Any]],
    model: str,
    fields: dict[str, Any],
    action: str,
    body: dict[str, Any],
) -> None:
    """Each model sends its own fields with its own `req_key`, and no field that the caller did not set."""
    if action == "CVProcess":
        vendor.says(10000, {"image_urls": [LINK]})

    await jimeng.submit(job_of(model, **fields))

    assert action == vendor.action
    assert {"req_key": model, **body} == vendor.body
    assert vendor.requests[-1].url.params["Version"] == "2022-08-31"
    assert len(vendor.requests) == 1


@pytest.mark.parametrize(
    ("model", "fields", "action", "options"),
    [
        (
            "jimeng_t2i_v40",
            {"prompt": "cat", "logo_info": {"add_logo": True, "position": 2}, "aigc_meta": {"producer_id": "p1"}},
            "CVSync2AsyncGetResult",
            {
                "return_url": True,
                "logo_info": {"add_logo": True, "position": 2},
                "aigc_meta": {"producer_id": "p1"},
            },
        ),
        ("jimeng_t2i_v31", {"prompt": "cat", "return_url": False}, "CVSync2AsyncGetResult", {"return_url": False}),
        ("jimeng_t2v_v30", {"prompt": "rain", "aigc_meta": AIGC}, "CVSync2AsyncGetResult", {"aigc_meta": AIGC}),
        ("jimeng_vgfm_t2v_l20", {"prompt": "rain"}, "CVSync2AsyncGetResult", None),
        (
            "jimeng_realman_avatar_picture_omni_v15",
            {"image_urls": [LINK], "audio_url": "https://sounds.test/a.mp3"},
            "CVGetResult",
            None,
        ),
    ],
)
async def test_the_query_says_how_to_deliver_the_result(
    jimeng: Jimeng,
    vendor: Any,
    job_of: Callable[..., Job[Any]],
    model: str,
    fields: dict[str, Any],
    action: str,
    options: dict[str, Any] | None,
) -> None:
    """`return_url`, `logo_info` and `aigc_meta` go into the query's `req_json`, which is JSON inside a text."""
    vendor.says(10000, {"status": "in_queue"})

    await jimeng.poll(job_of(model, **fields), f"{model}/123")

    assert action == vendor.action
    sent = vendor.body
    written = sent.pop("req_json", None)
    assert {"req_key": model, "task_id": "123"} == sent
    assert options == (None if written is None else json.loads(written))


async def test_the_query_repeats_the_key_of_the_submit(
    jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]]
) -> None:
    """The operation has the `req_key`, so the catalogue may change between submit and poll."""
    vendor.says(10000, {"status": "generating"})

    await jimeng.poll(job_of("jimeng_t2i_v40", prompt="cat"), "jimeng_t2i_v40_of_last_week/123")

    assert vendor.body["req_key"] == "jimeng_t2i_v40_of_last_week"


async def test_the_vendors_own_name_is_sent(vendor: Any, job_of: Callable[..., Job[Any]]) -> None:
    """A model with an operator's name is sent with the vendor's name, and polled at the scaled interval."""
    entry = Entry(provider="volcengine", name="mine", family="jimeng-image-v40", upstream="jimeng_t2i_v41")
    http = jimeng_http("https://v.test", Secret("AK"), Secret("SK"), read_s=1, transport=httpx.MockTransport(vendor))
    service = Jimeng([entry], http, poll_scale=0.1)
    job = structs.replace(job_of("jimeng_t2i_v40", prompt="cat"), model="mine")

    pending = await service.submit(job)
    assert isinstance(pending, Pending)
    assert vendor.body["req_key"] == "jimeng_t2i_v41"
    vendor.says(10000, {"status": "generating"})
    again = await service.poll(job, pending.operation)
    await service.aclose()

    assert vendor.body["req_key"] == "jimeng_t2i_v41"
    assert isinstance(again, Pending)
    assert pending.poll_after_s == again.poll_after_s == 0.2


async def test_an_operation_is_what_submit_answered(
    jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]]
) -> None:
    """The operation of a submit identifies the vendor's task in the next query."""
    job = job_of("jimeng_t2i_v40", prompt="cat")
    pending = await jimeng.submit(job)
    assert isinstance(pending, Pending)
    vendor.says(10000, {"status": "generating"})

    await jimeng.poll(job, pending.operation)

    assert vendor.body["task_id"] == "7392616336519610409"


@pytest.mark.parametrize("operation", ["", "123", "/123", "jimeng_t2i_v40/"])
async def test_a_foreign_operation_is_not_sent(
    jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]], operation: str
) -> None:
    """An operation with another form is a ProtocolError, without a request."""
    with pytest.raises(ProtocolError):
        await jimeng.poll(job_of("jimeng_t2i_v40", prompt="cat"), operation)

    assert vendor.requests == []


async def test_a_synchronous_model_has_nothing_to_ask_for(
    jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]]
) -> None:
    """A poll of a synchronous model is a ProtocolError, without a request."""
    with pytest.raises(ProtocolError, match="answers at once"):
        await jimeng.poll(job_of("jimeng_high_aes_general_v21_L", prompt="cat"), "jimeng_high_aes_general_v21_L/1")

    assert vendor.requests == []


async def test_a_model_that_is_not_served_is_rejected_before_a_request(
    jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]]
) -> None:
    """A model that the service does not serve is rejected without a request."""
    job = job_of("jimeng_t2i_v40", prompt="cat")
    foreign = Job(task_id="t", attempt=1, model="gpt-4", params=job.params, deadline=job.deadline)

    with pytest.raises(Rejected, match="gpt-4"):
        await jimeng.submit(foreign)

    assert vendor.requests == []


async def test_every_request_is_signed(jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]]) -> None:
    """Each request has a signature with the account's key for the visual service."""
    await jimeng.submit(job_of("jimeng_t2i_v40", prompt="cat"))

    authorization = vendor.requests[0].headers["Authorization"]
    assert authorization.startswith("HMAC-SHA256 Credential=AKLTpublic/")
    assert "/cn-north-1/cv/request, SignedHeaders=content-type;host;x-content-sha256;x-date, " in authorization
