"""Ark's videos: requests, the status of a task, and cancellation."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from core.catalogue import Entry
from polyrelay import (
    Cancels,
    Done,
    GenerationFailed,
    Job,
    Pending,
    ProtocolError,
    Rejected,
    Secret,
    Usage,
    VideoOutput,
)
from services.vendors.ark import VIDEO_FAMILIES, ArkVideos, ark_http

ENTRIES = [Entry(provider="volcengine", name=f"my-{name}", family=name, upstream=name) for name in VIDEO_FAMILIES]
FRAME, LAST = "https://a.test/first.png", "data:image/png;base64,AAAA"


def service(sent: list[httpx.Request], *answers: tuple[int, object]) -> ArkVideos:
    """The service with a vendor that gives these answers in turn and records requests."""
    remaining = list(answers)

    def vendor(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        status, answer = remaining.pop(0)
        return httpx.Response(status, json=answer, headers={"X-Request-Id": "req-1"})

    http = ark_http("https://ark.test/api/v3", Secret("ark-key"), transport=httpx.MockTransport(vendor))
    return ArkVideos(ENTRIES, http, poll_scale=0.1)


def job(family: str = "seedance-1", **params: Any) -> Job[Any]:
    """A job for the model of that family."""
    parsed = msgspec.convert({"prompt": "a cat", **params}, VIDEO_FAMILIES[family].params)
    return Job(task_id="t1", attempt=1, model=f"my-{family}", params=parsed, deadline=datetime(2027, 1, 1, tzinfo=UTC))


TEXT = {"type": "text", "text": "a cat"}


def picture(url: str, role: str) -> dict[str, object]:
    """One item of the request's content."""
    return {"type": "image_url", "image_url": {"url": url}, "role": role}


@pytest.mark.parametrize(
    ("family", "params", "body"),
    [
        ("seedance-1", {}, {"content": [TEXT], "duration": 5}),
        (
            "seedance-1",
            {"image_urls": [FRAME, LAST], "resolution": "1080p", "aspect_ratio": "adaptive", "duration": 10,
             "seed": 3, "camera_fixed": True, "watermark": True},
            {"content": [TEXT, picture(FRAME, "first_frame"), picture(LAST, "last_frame")], "resolution": "1080p",
             "ratio": "adaptive", "duration": 10, "seed": 3, "camera_fixed": True, "watermark": True},
        ),
        (
            "seedance-1-5",
            {"prompt": None, "image_urls": [FRAME], "generate_audio": False},
            {"content": [picture(FRAME, "first_frame")], "duration": 5, "generate_audio": False},
        ),
        (
            "seedance-2",
            {"reference_image_urls": [FRAME], "resolution": "4k", "duration": 15},
            {"content": [TEXT, picture(FRAME, "reference_image")], "resolution": "4k", "duration": 15},
        ),
        (
            "seedance-2-5",
            {"duration": 30, "output_format": "mov"},
            {"content": [TEXT], "duration": 30, "output_format": "mov"},
        ),
    ],
)  # fmt: skip
async def test_a_request_holds_exactly_what_was_asked(
    family: str, params: dict[str, Any], body: dict[str, Any]
) -> None:
    """A request has the content, the caller's fields, and always a duration and the watermark."""
    sent: list[httpx.Request] = []

    outcome = await service(sent, (200, {"id": "cgt-1"})).submit(job(family, **params))

    assert json.loads(sent[0].content) == {"model": family, "watermark": False, **body}
    assert sent[0].url.path == "/api/v3/contents/generations/tasks"
    assert outcome == Pending(operation="cgt-1", poll_after_s=0.5, request_id="req-1")


@pytest.mark.parametrize(
    ("family", "params", "said"),
    [
        ("seedance-1", {"prompt": None}, "give a prompt or pictures"),
        ("seedance-1", {"duration": 13}, "12"),
        ("seedance-1", {"aspect_ratio": "adaptive"}, "adaptive"),
        ("seedance-1", {"image_urls": [FRAME] * 3}, "image_urls"),
        ("seedance-1-5", {"duration": 3}, "4"),
        ("seedance-2", {"seed": 1}, "seed"),
        ("seedance-2", {"reference_image_urls": [FRAME] * 10}, "10 pictures came, at most 9"),
        ("seedance-2", {"image_urls": [FRAME], "reference_image_urls": [FRAME]}, "both came"),
        ("seedance-2-fast", {"resolution": "1080p"}, "1080p"),
        ("seedance-2-5", {"resolution": "4k"}, "4k"),
        ("seedance-2-5", {"image_urls": [FRAME], "aspect_ratio": "16:9"}, "only adaptive"),
    ],
)
def test_a_wrong_input_says_what_is_allowed(family: str, params: dict[str, Any], said: str) -> None:
    """Params outside of a generation's limits are refused before a request."""
    with pytest.raises(msgspec.ValidationError, match=said):
        job(family, **params)


@pytest.mark.parametrize(
    ("status", "unknown"),
    [("queued", None), ("running", None), ("paused_by_operator", "paused_by_operator"), ("", "")],
)
async def test_an_unfinished_task_is_polled_again(status: str, unknown: str | None) -> None:
    """Queued, running and undocumented statuses mean "not finished"; an undocumented one is reported."""
    sent: list[httpx.Request] = []

    outcome = await service(sent, (200, {"id": "cgt-1", "status": status, "error": None})).poll(job(), "cgt-1")

    assert outcome == Pending(operation="cgt-1", poll_after_s=0.5, request_id="req-1", unknown_status=unknown)
    assert (sent[0].method, sent[0].url.path) == ("GET", "/api/v3/contents/generations/tasks/cgt-1")


async def test_a_finished_video_lives_for_a_day() -> None:
    """A succeeded task has a video link with a lifetime of 24 hours, and the usage."""
    task = {
        "id": "cgt-1",
        "status": "succeeded",
        "content": {"video_url": "https://ark.test/v.mp4"},
        "usage": {"completion_tokens": 9, "total_tokens": 10},
        "duration": 5,
    }

    assert await service([], (200, task)).poll(job(), "cgt-1") == Done(
        outputs=(VideoOutput(url="https://ark.test/v.mp4", media_type="video/mp4", lifetime_s=86400.0),),
        usage=Usage(output_tokens=9, total_tokens=10, seconds=5.0),
        request_id="req-1",
    )


@pytest.mark.parametrize(
    ("task", "code", "retryable"),
    [
        ({"status": "failed", "error": {"code": "OutputVideoSensitiveContentDetected", "message": "m"}},
         "OutputVideoSensitiveContentDetected", False),
        ({"status": "failed", "error": {"code": "InternalServiceError", "message": "m"}}, "InternalServiceError", True),
        ({"status": "failed", "error": None}, None, False),
        ({"status": "cancelled"}, "cancelled", False),
        ({"status": "expired"}, "expired", False),
    ],
)  # fmt: skip
async def test_a_failed_task_says_why(task: dict[str, object], code: str | None, retryable: bool) -> None:
    """Failed, cancelled and expired tasks are failures; they are retryable only after an internal error."""
    with pytest.raises(GenerationFailed) as caught:
        await service([], (200, {"id": "cgt-1", **task})).poll(job(), "cgt-1")

    assert (caught.value.code, caught.value.retryable) == (code, retryable)


@pytest.mark.parametrize(
    "task", [{}, {"id": "cgt-1", "status": "succeeded"}, {"id": "cgt-1", "status": "succeeded", "content": {}}, "x"]
)
async def test_a_task_that_does_not_decode_is_a_protocol_error(task: object) -> None:
    """A task without a status, or a succeeded one without a video, is a ProtocolError."""
    with pytest.raises(ProtocolError):
        await service([], (200, task)).poll(job(), "cgt-1")


async def test_a_submit_without_an_id_is_a_protocol_error() -> None:
    """A submit without an id in the answer is a ProtocolError, because the task cannot be found again."""
    with pytest.raises(ProtocolError):
        await service([], (200, {})).submit(job())


async def test_an_operation_cannot_leave_its_path() -> None:
    """An operation is one segment of the path, whatever it contains."""
    sent: list[httpx.Request] = []

    await service(sent, (200, {"id": "x", "status": "queued"})).poll(job(), "../a?b#c")

    assert sent[0].url.raw_path == b"/api/v3/contents/generations/tasks/..%2Fa%3Fb%23c"


async def test_a_queued_task_is_cancelled() -> None:
    """A queued task is deleted after its status was read."""
    sent: list[httpx.Request] = []
    videos = service(sent, (200, {"id": "cgt-1", "status": "queued"}), (200, {}))

    await videos.cancel(job(), "cgt-1")

    assert isinstance(videos, Cancels)
    assert [request.method for request in sent] == ["GET", "DELETE"]


@pytest.mark.parametrize("status", ["running", "succeeded", "failed"])
async def test_a_task_that_started_is_never_deleted(status: str) -> None:
    """A running task is not cancelled, and a finished one is not deleted, because that would lose the billed video."""
    sent: list[httpx.Request] = []

    with pytest.raises(Rejected, match=status):
        await service(sent, (200, {"id": "cgt-1", "status": status})).cancel(job(), "cgt-1")
    assert [request.method for request in sent] == ["GET"]


async def test_a_task_that_was_cancelled_already_has_stopped() -> None:
    """If two workers handle one cancellation request, the second one also reports success, and deletes no record."""
    sent: list[httpx.Request] = []

    await service(sent, (200, {"id": "cgt-1", "status": "cancelled"})).cancel(job(), "cgt-1")

    assert [request.method for request in sent] == ["GET"]


async def test_a_task_that_is_cancelled_between_status_and_deletion_has_stopped() -> None:
    """If another worker cancels the task between the status and the deletion, the cancel succeeds."""
    sent: list[httpx.Request] = []
    queued, cancelled = ((200, {"id": "cgt-1", "status": status}) for status in ("queued", "cancelled"))
    refusal = {"error": {"code": "OperationDenied.InvalidState", "message": "the task is cancelled"}}

    await service(sent, queued, (403, refusal), cancelled).cancel(job(), "cgt-1")

    assert [request.method for request in sent] == ["GET", "DELETE", "GET"]


async def test_a_task_that_starts_in_between_is_too_late() -> None:
    """If Ark refuses the deletion, the cancel is refused."""
    queued, running = ((200, {"id": "cgt-1", "status": status}) for status in ("queued", "running"))
    refusal = {"error": {"code": "OperationDenied.InvalidState", "message": "the task is running"}}

    with pytest.raises(Rejected, match="the task is running") as caught:
        await service([], queued, (403, refusal), running).cancel(job(), "cgt-1")
    assert caught.value.reason == "invalid_input"
