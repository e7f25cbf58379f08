"""The meaning of the visual API's answers."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from polyrelay import (
    Answer,
    Done,
    GenerationFailed,
    ImageOutput,
    Job,
    Pending,
    ProtocolError,
    ProviderError,
    VideoOutput,
)
from services.vendors.jimeng import FAMILIES, Jimeng, answers
from services.vendors.jimeng.answers import read_progress, read_result, read_submission
from services.vendors.jimeng.faults import read_fault

PNG = b"\x89PNG\r\n\x1a\nrest"
LINK = "https://cdn.test/a.png"
IMAGE = "jimeng_t2i_v40"
VIDEO = "jimeng_vgfm_t2v_l20"
SYNCHRONOUS = "jimeng_high_aes_general_v21_L"


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The log entries of the reader of answers, independent of earlier logging setup."""
    before = structlog.get_config()
    structlog.reset_defaults()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("info"))
    monkeypatch.setattr(answers, "log", structlog.get_logger())
    with capture_logs() as lines:
        yield lines
    structlog.configure(**before)


async def test_an_accepted_task_is_pending(jimeng: Jimeng, job_of: Callable[..., Job[Any]]) -> None:
    """An accepted submit is pending; the wait before the first poll depends on the kind of output."""
    image = await jimeng.submit(job_of(IMAGE, prompt="cat"))
    video = await jimeng.submit(job_of(VIDEO, prompt="cat"))

    assert Pending(operation=f"{IMAGE}/7392616336519610409", poll_after_s=2.0, request_id="r1") == image
    assert Pending(operation=f"{VIDEO}/7392616336519610409", poll_after_s=5.0, request_id="r1") == video


async def test_a_task_id_may_be_a_number(jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]]) -> None:
    """An accepted task is not lost if its id is a number."""
    vendor.says(10000, {"task_id": 7392616336519610409})

    pending = await jimeng.submit(job_of(IMAGE, prompt="cat"))

    assert isinstance(pending, Pending)
    assert f"{IMAGE}/7392616336519610409" == pending.operation


@pytest.mark.parametrize("data", [None, {}, {"task_id": ""}, {"task_id": None}, {"task_id": True}, [], "7"])
async def test_an_accepted_task_without_an_id_is_a_protocol_error(
    jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]], data: Any
) -> None:
    """An accepted submit without an id is a ProtocolError: it can be neither polled nor submitted again."""
    vendor.says(10000, data)

    with pytest.raises(ProtocolError) as caught:
        await jimeng.submit(job_of(IMAGE, prompt="cat"))

    assert caught.value.request_id == "r2"


@pytest.mark.parametrize("status", ["in_queue", "generating"])
async def test_an_open_task_stays_pending(
    jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]], logs: list[Any], status: str
) -> None:
    """The two open statuses mean pending, with the same operation."""
    vendor.says(10000, {"status": status, "image_urls": None})

    outcome = await jimeng.poll(job_of(IMAGE, prompt="cat"), f"{IMAGE}/1")

    assert Pending(operation=f"{IMAGE}/1", poll_after_s=2.0, request_id="r2") == outcome
    assert logs == []


@pytest.mark.parametrize("data", [{"status": "Running"}, {"status": 3}, {"status": None}, {"status": []}, {}, None])
async def test_an_unknown_status_stays_pending_and_is_logged(
    jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]], logs: list[Any], data: Any
) -> None:
    """An undocumented status is logged, and the task is polled again."""
    vendor.says(10000, data)

    outcome = await jimeng.poll(job_of(IMAGE, prompt="cat"), f"{IMAGE}/1")

    assert isinstance(outcome, Pending)
    (line,) = logs
    assert {"event": "vendor_status_unknown", "log_level": "warning"}.items() <= line.items()
    assert str((data or {}).get("status")) == line["status"]


@pytest.mark.parametrize("status", ["not_found", "expired"])
async def test_a_task_that_is_gone_has_failed(
    jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]], status: str
) -> None:
    """A task that the vendor no longer knows, or that expired there, has failed and is not retryable."""
    vendor.says(10000, {"status": status})

    with pytest.raises(GenerationFailed) as caught:
        await jimeng.poll(job_of(IMAGE, prompt="cat"), f"{IMAGE}/1")

    assert not caught.value.retryable
    assert (status, "r2") == (caught.value.code, caught.value.request_id)


async def test_done_pictures_are_links_for_a_day(jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]]) -> None:
    """Every link of a finished image task is an output with a lifetime of 24 hours."""
    vendor.says(10000, {"status": "done", "image_urls": [LINK, "", LINK + "2"], "binary_data_base64": []})

    outcome = await jimeng.poll(job_of(IMAGE, prompt="cat"), f"{IMAGE}/1")

    outputs = (ImageOutput(url=LINK, lifetime_s=86400), ImageOutput(url=LINK + "2", lifetime_s=86400))
    assert Done(outputs=outputs, request_id="r2") == outcome


async def test_a_done_video_is_a_link_for_an_hour(jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]]) -> None:
    """The link of a finished video has a lifetime of one hour."""
    vendor.says(10000, {"status": "done", "video_url": "https://cdn.test/a.mp4", "aigc_meta_tagged": True})

    outcome = await jimeng.poll(job_of(VIDEO, prompt="rain"), f"{VIDEO}/1")

    output = VideoOutput(url="https://cdn.test/a.mp4", lifetime_s=3600)
    assert Done(outputs=(output,), request_id="r2") == outcome


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"RIFF\0\0\0\0WEBPrest", "image/webp"),
        (b"GIF89arest", "image/gif"),
        (b"something else", None),
    ],
)
async def test_pictures_as_base64_are_decoded(
    jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]], content: bytes, media_type: str | None
) -> None:
    """Without links, the outputs are the files, with the media type of their first bytes."""
    vendor.says(
        10000, {"status": "done", "image_urls": None, "binary_data_base64": [base64.b64encode(content).decode()]}
    )

    outcome = await jimeng.poll(job_of(IMAGE, prompt="cat", return_url=False), f"{IMAGE}/1")

    assert Done(outputs=(ImageOutput(data=content, media_type=media_type),), request_id="r2") == outcome


@pytest.mark.parametrize("text", ["a", "猫", "!!!!"])
async def test_a_damaged_picture_is_a_protocol_error(
    jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]], text: str
) -> None:
    """An image that is not base64 is a ProtocolError."""
    vendor.says(10000, {"status": "done", "binary_data_base64": [text]})

    with pytest.raises(ProtocolError):
        await jimeng.poll(job_of(IMAGE, prompt="cat"), f"{IMAGE}/1")


@pytest.mark.parametrize("data", [{}, {"image_urls": []}, {"image_urls": [None]}, {"image_urls": "x"}])
async def test_done_without_a_result_has_failed(
    jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]], data: dict[str, Any]
) -> None:
    """ "done" without a result is a failure that is not retryable."""
    vendor.says(10000, {"status": "done", **data})

    with pytest.raises(GenerationFailed) as caught:
        await jimeng.poll(job_of(IMAGE, prompt="cat"), f"{IMAGE}/1")

    assert not caught.value.retryable


async def test_done_may_be_a_failure(jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]]) -> None:
    """The code is checked before the status: "done" with an error code is that error."""
    vendor.says(50413, {"status": "done", "image_urls": [LINK]}, message="Post Text Risk Not Pass")

    with pytest.raises(ProviderError) as caught:
        await jimeng.poll(job_of(IMAGE, prompt="cat"), f"{IMAGE}/1")

    assert caught.value.code == "50413"


async def test_a_synchronous_model_answers_with_the_result(
    jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]]
) -> None:
    """The submit of a synchronous model returns Done."""
    vendor.says(10000, {"image_urls": [LINK], "binary_data_base64": [], "algorithm_base_resp": {"status_code": 0}})

    outcome = await jimeng.submit(job_of(SYNCHRONOUS, prompt="cat", size="512x512"))

    assert Done(outputs=(ImageOutput(url=LINK, lifetime_s=86400),), request_id="r2") == outcome


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b'{"code": "10000"}', b"\xff"])
async def test_a_success_that_does_not_decode_is_a_protocol_error(
    jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]], body: bytes
) -> None:
    """Status 200 with a body of another format is a ProtocolError."""
    vendor.answer = httpx.Response(200, content=body)

    with pytest.raises(ProtocolError):
        await jimeng.submit(job_of(IMAGE, prompt="cat"))
    with pytest.raises(ProtocolError):
        await jimeng.poll(job_of(IMAGE, prompt="cat"), f"{IMAGE}/1")


def documents() -> st.SearchStrategy[bytes]:
    """JSON similar to the vendor's, with any value in any place."""
    word = st.text("a7=猫 /", max_size=6)
    leaf = st.none() | st.booleans() | st.integers() | st.floats() | word
    anything = leaf | st.lists(leaf, max_size=3) | st.dictionaries(word, leaf, max_size=3)
    data = st.fixed_dictionaries(
        {},
        optional={
            "task_id": anything,
            "status": st.sampled_from(["done", "in_queue", "expired"]) | anything,
            "image_urls": st.lists(anything, max_size=3) | anything,
            "binary_data_base64": st.lists(anything, max_size=3) | anything,
            "video_url": anything,
        },
    )
    codes = st.sampled_from([10000, 10000, 10000, 50413, 50430, 50500, 50511]) | anything
    metadata = st.fixed_dictionaries(
        {"Error": anything | st.dictionaries(st.sampled_from(["Code", "CodeN"]), anything)}
    )
    envelope = st.fixed_dictionaries(
        {"code": codes},
        optional={
            "data": data | anything,
            "message": anything,
            "request_id": anything,
            "ResponseMetadata": metadata | anything,
        },
    )
    return envelope.map(lambda value: json.dumps(value).encode())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(status=st.sampled_from([200, 400, 429, 500]), body=st.binary(max_size=200) | documents())
@example(status=200, body=b'{"code":10000,"data":' + b"[" * 100_000)
@example(status=200, body=b'{"code":10000,"data":{"status":"done","binary_data_base64":["' + b"\xf0\x9f" + b'"]}}')
@example(status=200, body=b'{"code":' + b"1" * 5000 + b"}")
@example(status=200, body=b'{"code":10000,"data":{"task_id":"' + b"7" * 5000 + b'"}}')
def test_any_bytes_are_an_outcome_or_a_provider_error(status: int, body: bytes) -> None:
    """Any answer gives an outcome or raises a ProviderError."""
    answer = Answer(status=status, headers={}, body=body)
    fault = read_fault(answer)
    assert fault is None or isinstance(fault, ProviderError)
    readers: list[Callable[[], object]] = [
        lambda: read_submission(answer, IMAGE).written(),
        lambda: read_result(answer, FAMILIES["jimeng-general-v21"]),
        lambda: read_progress(answer, FAMILIES["jimeng-image-v40"], operation="a/1", poll_scale=1),
        lambda: read_progress(answer, FAMILIES["jimeng-vgfm-t2v"], operation="a/1", poll_scale=1),
    ]
    for read in readers:
        try:
            outcome = read()
        except ProviderError:
            continue
        assert isinstance(outcome, Pending | Done | str)
