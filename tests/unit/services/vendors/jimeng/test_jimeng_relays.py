"""Calls of the vendor's own API, sent as a caller wrote them."""

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
    """One attempt at a relayed call."""
    return Job(
        task_id="t1",
        attempt=1,
        model=IMAGE,
        params=RelayParams(action=action, version="2022-08-31", body=body),
        deadline=datetime(2030, 1, 1, tzinfo=UTC),
    )


def relay_of(jimeng: Jimeng, req_key: str = IMAGE) -> RelayService:
    """What sends calls for that key."""
    return jimeng.relay_of(req_key)[1]


async def test_the_body_is_sent_to_the_byte(jimeng: Jimeng, vendor: Any) -> None:
    """Spaces, numbers of any size, repeated and unknown fields arrive at the vendor as the caller wrote them."""
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
    """Whatever class of error an answer means, the answer itself goes with it."""
    vendor.says(code, status=status, message="no")

    with pytest.raises(kind) as caught:
        await relay_of(jimeng).submit(job())

    assert caught.value.answer is not None
    assert (caught.value.answer.status, caught.value.answer.body) == (status, vendor.answer.content)


async def test_a_damaged_answer_goes_with_its_error(jimeng: Jimeng, vendor: Any) -> None:
    """An acceptance without an id is an error, and the caller may see what came."""
    vendor.says(10000, {})

    with pytest.raises(ProtocolError) as caught:
        await relay_of(jimeng).submit(job())

    assert caught.value.answer is not None


async def test_a_cut_connection_has_no_answer(jimeng: Jimeng, vendor: Any) -> None:
    """Where nothing came there is nothing to hand on."""
    vendor.answer = httpx.ReadError("cut")

    with pytest.raises(OutcomeUnknown) as caught:
        await relay_of(jimeng).submit(job())

    assert caught.value.answer is None


async def test_a_call_that_answers_at_once_is_done(jimeng: Jimeng, vendor: Any) -> None:
    """The pictures of CVProcess are outputs, and the answer is kept."""
    vendor.says(10000, {"image_urls": ["https://cdn.test/a.png"], "binary_data_base64": None})

    done = await relay_of(jimeng).submit(job(action="CVProcess"))

    assert isinstance(done, Done)
    assert [output.url for output in done.outputs if isinstance(output, ImageOutput)] == ["https://cdn.test/a.png"]
    assert done.answer is not None


async def test_an_answer_without_pictures_is_kept_as_text(jimeng: Jimeng, vendor: Any) -> None:
    """A capability that finds something instead of making it succeeds: its `data` is the result."""
    vendor.says(10000, {"status": 1, "resp_data": "{}"})

    done = await relay_of(jimeng, "jimeng_realman_avatar_object_detection").submit(job(action="CVProcess"))

    assert isinstance(done, Done)
    (output,) = done.outputs
    assert isinstance(output, TextOutput)
    assert json.loads(output.text) == {"status": 1, "resp_data": "{}"}


async def test_the_record_is_polled_for_links_with_the_callers_marks(jimeng: Jimeng, vendor: Any) -> None:
    """Our own query asks for links, and for the watermark that the submit named."""
    vendor.says(10000, {"status": "done", "image_urls": ["https://cdn.test/a.png"]})
    body = '{"req_key":"jimeng_t2i_v40","prompt":"a","logo_info":{"add_logo":true}}'

    done = await relay_of(jimeng).poll(job(body), f"{IMAGE}/739")

    assert isinstance(done, Done)
    assert vendor.action == QUERY
    assert (vendor.body["req_key"], vendor.body["task_id"]) == (IMAGE, "739")
    assert json.loads(vendor.body["req_json"]) == {"return_url": True, "logo_info": {"add_logo": True}}


async def test_a_video_is_polled_without_return_url(jimeng: Jimeng, vendor: Any) -> None:
    """Videos are always links, and their `req_json` knows no `return_url`; CVSubmitTask is asked by CVGetResult."""
    vendor.says(10000, {"status": "done", "video_url": "https://cdn.test/a.mp4"})

    done = await relay_of(jimeng, "jimeng_new_i2v_v99").poll(job("{}", "CVSubmitTask"), "jimeng_new_i2v_v99/739")

    assert isinstance(done, Done)
    assert isinstance(done.outputs[0], VideoOutput)
    assert vendor.action == "CVGetResult"
    assert vendor.body == {"req_key": "jimeng_new_i2v_v99", "task_id": "739"}


@pytest.mark.parametrize("status", ["not_found", "expired"])
async def test_a_task_that_the_vendor_forgot_has_failed(jimeng: Jimeng, vendor: Any, status: str) -> None:
    """What is gone is not taken for a result without pictures."""
    vendor.says(10000, {"status": status})

    with pytest.raises(GenerationFailed):
        await relay_of(jimeng).poll(job(), f"{IMAGE}/739")


async def test_a_question_is_answered_by_whatever_the_vendor_says(jimeng: Jimeng, vendor: Any) -> None:
    """A refusal is an answer, too; only silence is an error."""
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
    """Jimeng offers what the registry looks for."""
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
def test_an_unknown_key_is_relayed_as_what_its_name_reports(jimeng: Jimeng, req_key: str, kind: TaskType) -> None:
    """A capability that is newer than the catalogue is taken for what the vendor's names usually mean."""
    model, _ = jimeng.relay_of(req_key)

    assert (model.name, model.type) == (req_key, kind)


def test_a_known_key_has_the_time_of_its_model(jimeng: Jimeng) -> None:
    """The catalogue's model and the relayed one are the same to gates and clocks."""
    known = {model.name: model for model in jimeng.models}[IMAGE]

    model, _ = jimeng.relay_of(IMAGE)

    assert (model.name, model.type, model.timeout_s, model.max_open) == (
        known.name,
        known.type,
        known.timeout_s,
        known.max_open,
    )
