"""OpenAI's videos: the form of a create, the status, and the download."""

from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import httpx
import msgspec
import pytest

from core.catalogue import Entry
from polyrelay import Done, GenerationFailed, Job, Pending, ProtocolError, Secret, Unavailable, Usage, VideoOutput
from services.vendors.openai import VIDEO_FAMILIES, OpenAIVideos, openai_http

ENTRIES = [Entry(provider="openai", name="sora", family="sora", upstream="sora-2")]


def service(sent: list[httpx.Request], *answers: httpx.Response) -> OpenAIVideos:
    """The service with a vendor that gives these answers in turn and records requests."""
    remaining = list(answers)

    def vendor(request: httpx.Request) -> httpx.Response:
        request.read()
        sent.append(request)
        return remaining.pop(0)

    http = openai_http("https://openai.test/v1", Secret("sk-key"), transport=httpx.MockTransport(vendor))
    return OpenAIVideos(ENTRIES, http, poll_scale=0.1)


def video(status: str, **more: Any) -> httpx.Response:
    """The vendor's answer about a video."""
    return httpx.Response(200, json={"id": "video_1", "status": status, **more}, headers={"x-request-id": "req-1"})


def job(**params: Any) -> Job[Any]:
    """A job for Sora."""
    parsed = msgspec.convert({"prompt": "a cat", **params}, VIDEO_FAMILIES["sora"].params)
    return Job(task_id="t1", attempt=1, model="sora", params=parsed, deadline=datetime(2027, 1, 1, tzinfo=UTC))


def form_of(request: httpx.Request) -> dict[str, tuple[str | None, str, bytes]]:
    """File name, content type and content of each part of a form."""
    head = b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n"
    form: dict[str, tuple[str | None, str, bytes]] = {}
    for part in BytesParser(policy=HTTP).parsebytes(head + request.content).iter_parts():
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        form[str(part.get_param("name", header="content-disposition"))] = (
            part.get_filename(),
            part.get_content_type(),
            content,
        )
    return form


async def test_a_video_is_created_by_a_form() -> None:
    """A create is a multipart form even without a file, with the vendor's model name and the seconds as text."""
    sent: list[httpx.Request] = []

    outcome = await service(sent, video("queued", progress=0)).submit(job(duration=8, size="1280x720"))

    assert {name: content for name, (_, _, content) in form_of(sent[0]).items()} == {
        "prompt": b"a cat",
        "model": b"sora-2",
        "seconds": b"8",
        "size": b"1280x720",
    }
    assert sent[0].headers["content-type"].startswith("multipart/form-data")
    assert outcome == Pending(operation="video_1", poll_after_s=0.5, request_id="req-1", progress=0.0)


async def test_a_picture_itself_is_a_file_of_the_form() -> None:
    """A data URI is sent as a file, with its media type."""
    sent: list[httpx.Request] = []

    await service(sent, video("queued")).submit(job(image_urls=["data:image/png;base64,AAAA"]))

    assert form_of(sent[0])["input_reference"] == ("reference.png", "image/png", b"\0\0\0")


async def test_a_link_is_a_field_of_the_form() -> None:
    """A link is sent as a field; the vendor downloads it."""
    sent: list[httpx.Request] = []

    await service(sent, video("queued")).submit(job(image_urls=["https://a.test/1.png"]))

    assert form_of(sent[0])["input_reference[image_url]"][2] == b"https://a.test/1.png"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"duration": 5}, "5"),
        ({"size": "1x1"}, "1x1"),
        ({"image_urls": ["https://a.test/1.png"] * 2}, "image_urls"),
        ({"image_urls": ["data:image/png;base64,A"]}, "not base64"),
    ],
)
def test_a_wrong_input_says_what_is_allowed(params: dict[str, Any], said: str) -> None:
    """Params that Sora does not accept are refused before a request."""
    with pytest.raises(msgspec.ValidationError, match=said):
        job(**params)


@pytest.mark.parametrize(
    ("status", "progress", "unknown"),
    [("queued", None, None), ("in_progress", 0.33, None), ("paused", None, "paused")],
)
async def test_an_unfinished_video_is_polled_again(status: str, progress: float | None, unknown: str | None) -> None:
    """Queued, in progress and unknown statuses mean "not finished"; an unknown one is reported."""
    percent = {} if progress is None else {"progress": 33}

    outcome = await service([], video(status, **percent)).poll(job(), "video_1")

    assert outcome == Pending(
        operation="video_1", poll_after_s=0.5, request_id="req-1", progress=progress, unknown_status=unknown
    )


async def test_a_finished_video_is_fetched() -> None:
    """A completed video is downloaded in the same poll, because its URL needs the API key."""
    sent: list[httpx.Request] = []
    content = httpx.Response(200, content=b"mp4", headers={"content-type": "video/mp4"})

    outcome = await service(sent, video("completed", seconds="8"), content).poll(job(), "video_1")

    assert outcome == Done(
        outputs=(VideoOutput(data=b"mp4", media_type="video/mp4"),), usage=Usage(seconds=8.0), request_id="req-1"
    )
    assert [str(request.url) for request in sent] == [
        "https://openai.test/v1/videos/video_1",
        "https://openai.test/v1/videos/video_1/content?variant=video",
    ]


async def test_a_download_that_fails_is_tried_again() -> None:
    """After a failed download the poll may be repeated."""
    with pytest.raises(Unavailable):
        await service([], video("completed"), httpx.Response(503)).poll(job(), "video_1")


@pytest.mark.parametrize(
    ("code", "retryable"), [("moderation_blocked", False), ("internal_error", True), (None, False)]
)
async def test_a_failed_video_says_why(code: str | None, retryable: bool) -> None:
    """A failed video is a failure; it is retryable only after an internal error."""
    with pytest.raises(GenerationFailed) as caught:
        await service([], video("failed", error={"code": code, "message": "m"})).poll(job(), "video_1")

    assert (caught.value.code, caught.value.retryable) == (code, retryable)


@pytest.mark.parametrize("answer", [{}, {"status": "queued"}, {"id": "video_1"}, []])
async def test_a_video_that_does_not_decode_is_a_protocol_error(answer: object) -> None:
    """A video without a status or an id is a ProtocolError."""
    with pytest.raises(ProtocolError):
        await service([], httpx.Response(200, json=answer)).submit(job())


async def test_an_empty_download_is_a_protocol_error() -> None:
    """An empty download is a ProtocolError."""
    with pytest.raises(ProtocolError):
        await service([], video("completed"), httpx.Response(200)).poll(job(), "video_1")
