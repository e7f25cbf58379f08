"""Relayed calls of the visual API."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from core.relay_contract import Relays, RelayService
from core.tasks import RelayCall
from polyrelay import (
    Done,
    GenerationFailed,
    ImageOutput,
    Job,
    OutcomeUnknown,
    Overloaded,
    Pending,
    ProtocolError,
    ProviderError,
    TaskType,
    TextOutput,
    Unavailable,
    VideoOutput,
)
from services.vendors.jimeng import Jimeng
from services.vendors.jimeng.relays import RelayParams

IMAGE = "jimeng_t2i_v40"
BODY = '{"req_key" : "jimeng_t2i_v40", "new_field":{"a":1.50},"seed": 12345678901234567890123, "seed":2}'
SUBMIT, QUERY = "CVSync2AsyncSubmitTask", "CVSync2AsyncGetResult"


def job(body: str = BODY, action: str = SUBMIT) -> Job[Any]:
    """One attempt of a relayed call."""
    return Job(
        task_id="t1",
        attempt=1,
        model=IMAGE,
        params=RelayParams(action=action, version="2022-08-31", body=body),
        deadline=datetime(2030, 1, 1, tzinfo=UTC),
    )


def relay_of(jimeng: Jimeng, req_key: str = IMAGE) -> RelayService:
    """The relay service for that `req_key`."""
    return jimeng.relay_of(req_key)[1]


async def test_the_body_is_sent_to_the_byte(jimeng: Jimeng, vendor: Any) -> None:
    """The body is sent byte for byte: spaces, large numbers, repeated and unknown fields are unchanged."""
    outcome = await relay_of(jimeng).submit(job())

    assert vendor.requests[-1].content == BODY.encode()
    assert dict(vendor.requests[-1].url.params) == {"Action": SUBMIT, "Version": "2022-08-31"}
    assert isinstance(outcome, Pending)
    assert outcome.operation == f"{IMAGE}/7392616336519610409"
    assert outcome.answer is not None
    assert outcome.answer.body == vendor.answer.content


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (50411, 400, ProviderError),
        (50430, 429, Overloaded),
        (50500, 500, OutcomeUnknown),
        (50511, 400, GenerationFailed),
    ],
)
async def test_a_refusal_carries_the_answer(
    jimeng: Jimeng, vendor: Any, code: int, status: int, kind: type[ProviderError]
) -> None:
    """An error of any class has the vendor's answer."""
    vendor.says(code, status=status, message="no")

    with pytest.raises(kind) as caught:
        await relay_of(jimeng).submit(job())

    assert caught.value.answer is not None
    assert (caught.value.answer.status, caught.value.answer.body) == (status, vendor.answer.content)


async def test_a_damaged_answer_goes_with_its_error(jimeng: Jimeng, vendor: Any) -> None:
    """An accepted submit without an id is an error that has the answer."""
    vendor.says(10000, {})

    with pytest.raises(ProtocolError) as caught:
        await relay_of(jimeng).submit(job())

    assert caught.value.answer is not None


async def test_a_cut_connection_has_no_answer(jimeng: Jimeng, vendor: Any) -> None:
    """An error without an answer has no answer to return."""
    vendor.answer = httpx.ReadError("cut")

    with pytest.raises(OutcomeUnknown) as caught:
        await relay_of(jimeng).submit(job())

    assert caught.value.answer is None


async def test_a_call_that_answers_at_once_is_done(jimeng: Jimeng, vendor: Any) -> None:
    """The images of CVProcess are outputs, and the answer is in the outcome."""
    vendor.says(10000, {"image_urls": ["https://cdn.test/a.png"], "binary_data_base64": None})

    done = await relay_of(jimeng).submit(job(action="CVProcess"))

    assert isinstance(done, Done)
    assert [output.url for output in done.outputs if isinstance(output, ImageOutput)] == ["https://cdn.test/a.png"]
    assert done.answer is not None


async def test_an_answer_without_pictures_is_kept_as_text(jimeng: Jimeng, vendor: Any) -> None:
    """If a capability returns no image, its `data` is the result, as text."""
    vendor.says(10000, {"status": 1, "resp_data": "{}"})

    done = await relay_of(jimeng, "jimeng_realman_avatar_object_detection").submit(job(action="CVProcess"))

    assert isinstance(done, Done)
    (output,) = done.outputs
    assert isinstance(output, TextOutput)
    assert json.loads(output.text) == {"status": 1, "resp_data": "{}"}


async def test_the_record_is_polled_for_links_with_the_callers_marks(jimeng: Jimeng, vendor: Any) -> None:
    """The server's poll asks for links, and for the watermark of the submit."""
    vendor.says(10000, {"status": "done", "image_urls": ["https://cdn.test/a.png"]})
    body = '{"req_key":"jimeng_t2i_v40","prompt":"a","logo_info":{"add_logo":true}}'

    done = await relay_of(jimeng).poll(job(body), f"{IMAGE}/739")

    assert isinstance(done, Done)
    assert vendor.action == QUERY
    assert (vendor.body["req_key"], vendor.body["task_id"]) == (IMAGE, "739")
    assert json.loads(vendor.body["req_json"]) == {"return_url": True, "logo_info": {"add_logo": True}}


async def test_a_video_is_polled_without_return_url(jimeng: Jimeng, vendor: Any) -> None:
    """A poll for a video has no `return_url`; CVSubmitTask is polled with CVGetResult."""
    vendor.says(10000, {"status": "done", "video_url": "https://cdn.test/a.mp4"})

    done = await relay_of(jimeng, "jimeng_new_i2v_v99").poll(job("{}", "CVSubmitTask"), "jimeng_new_i2v_v99/739")

    assert isinstance(done, Done)
    assert isinstance(done.outputs[0], VideoOutput)
    assert vendor.action == "CVGetResult"
    assert vendor.body == {"req_key": "jimeng_new_i2v_v99", "task_id": "739"}


@pytest.mark.parametrize("status", ["not_found", "expired"])
async def test_a_task_that_the_vendor_forgot_has_failed(jimeng: Jimeng, vendor: Any, status: str) -> None:
    """A task that the vendor no longer knows is a failure, not a result without images."""
    vendor.says(10000, {"status": status})

    with pytest.raises(GenerationFailed):
        await relay_of(jimeng).poll(job(), f"{IMAGE}/739")


async def test_ask_returns_every_answer_of_the_vendor(jimeng: Jimeng, vendor: Any) -> None:
    """`ask` returns every answer, also an error; it raises only without an answer."""
    call = RelayCall(action=QUERY, version="2022-08-31")
    vendor.says(50429, status=429)

    answer = await relay_of(jimeng).ask(call, b'{"task_id": "739"}')

    assert (answer.status, answer.body) == (429, vendor.answer.content)
    assert vendor.requests[-1].content == b'{"task_id": "739"}'
    vendor.says(50500, status=500)
    assert (await relay_of(jimeng).ask(call, b"{}")).status == 500
    vendor.answer = httpx.ReadTimeout("silent")
    with pytest.raises(Unavailable):
        await relay_of(jimeng).ask(call, b"{}")


def test_the_service_relays(jimeng: Jimeng) -> None:
    """Jimeng implements the relay contract."""
    assert isinstance(jimeng, Relays)
    assert isinstance(relay_of(jimeng), RelayService)


@pytest.mark.parametrize(
    ("req_key", "kind"),
    [
        ("jimeng_vgfm_t2v_l99", TaskType.VIDEO),
        ("new_i2v", TaskType.VIDEO),
        ("jimeng_realman_avatar_x", TaskType.VIDEO),
        ("some_video", TaskType.VIDEO),
        ("jimeng_t2i_v99", TaskType.IMAGE),
    ],
)
def test_an_unknown_req_key_gets_its_type_from_its_name(jimeng: Jimeng, req_key: str, kind: TaskType) -> None:
    """A `req_key` that is not in the catalogue gets the type that its name indicates."""
    model, _ = jimeng.relay_of(req_key)

    assert (model.name, model.type) == (req_key, kind)


def test_a_known_key_has_the_time_of_its_model(jimeng: Jimeng) -> None:
    """A `req_key` of the catalogue has the gates and the time limit of its model."""
    known = {model.name: model for model in jimeng.models}[IMAGE]

    model, _ = jimeng.relay_of(IMAGE)

    assert (model.name, model.type, model.timeout_s, model.max_open) == (
        known.name,
        known.type,
        known.timeout_s,
        known.max_open,
    )
