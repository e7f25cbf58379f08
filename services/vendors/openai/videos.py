"""
OpenAI video models: Sora. A video is created with a multipart form, polled, and downloaded through the API.

Source: the package `openai` 3.54.0 (`resources/videos.py`), read on 2026-11-22. It announces that the API shuts down
on 2026-09-24.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

import structlog
from msgspec import Meta, Struct

from core.catalogue import Entry
from polyrelay import (
    Answer,
    Done,
    GenerationFailed,
    Job,
    Model,
    Outcome,
    Params,
    Pending,
    ProtocolError,
    TaskType,
    Usage,
    VendorHttp,
    VideoOutput,
)
from services.vendors.images import ImageReference, embedded
from services.vendors.model_families import Families, ModelFamily, Requests, models_of
from services.vendors.numbers import number
from services.vendors.openai_wire.errors import error_of

PATH: Final = "/videos"
POLL_S: Final = 5.0
TIMEOUT_S: Final = 1800.0
_OPEN: Final = frozenset({"queued", "in_progress", "completed"})
_INTERNAL: Final = frozenset({"internal_error", "server_error", "processing_error"})

log = structlog.get_logger(__name__)


class SoraParams(Params, frozen=True, kw_only=True):
    """
    Input of Sora.

    Attributes:
        duration: In seconds.
        image_urls: A picture to start from, of the size of the video.
    """

    prompt: Annotated[str, Meta(min_length=1, max_length=32_000)]
    duration: Literal[4, 8, 12] = 4
    size: Literal["720x1280", "1280x720", "1024x1792", "1792x1024"] = "720x1280"
    image_urls: Annotated[tuple[ImageReference, ...], Meta(max_length=1)] = ()

    def __post_init__(self) -> None:
        for reference in self.image_urls:
            embedded(reference)


class OpenAIVideos:
    """
    Videos by Sora.

    Args:
        entries: Entries of the catalogue; those of other families are ignored.
        http: Closed with the service; services may share it.
        poll_scale: Multiplies the time between polls.
    """

    def __init__(self, entries: Sequence[Entry], http: VendorHttp, *, poll_scale: float = 1.0) -> None:
        self.models = openai_video_models(entries)
        self._requests = Requests(entries, VIDEO_FAMILIES)
        self._http = http
        self._poll_s = POLL_S * poll_scale

    async def submit(self, job: Job[Any]) -> Outcome:
        """Create the video. In practice the answer never has a finished video."""
        form = {name: str(value) for name, value in self._requests.body(job).items()}
        answer = await self._http.submit(PATH, form=form, files=picture_part(job.params))
        return read_video(answer, poll_s=self._poll_s)

    async def poll(self, job: Job[Any], operation: str) -> Outcome:  # noqa: ARG002 - the contract's signature
        """Read the video's status, and download the video when it is finished."""
        path = f"{PATH}/{quote(operation, safe='')}"
        answer = await self._http.query("GET", path)
        if not is_completed(answer):
            return read_video(answer, poll_s=self._poll_s)
        content = await self._http.query("GET", f"{path}/content", query=[("variant", "video")])
        return read_content(answer, content)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def openai_video_models(entries: Iterable[Entry]) -> tuple[Model, ...]:
    """What `OpenAIVideos` serves of these entries."""
    return models_of(entries, VIDEO_FAMILIES)


def picture_part(params: SoraParams) -> Mapping[str, Any]:
    """The input image as a file of the form, where it is a data URI; a link is an ordinary field of the form."""
    picture = next(filter(None, map(embedded, params.image_urls)), None)
    if picture is None:
        return {}
    media_type, data = picture
    return {"input_reference": (f"reference.{media_type.partition('/')[2]}", data, media_type)}


def is_completed(answer: Answer) -> bool:
    """
    Whether the video can be downloaded.

    Raises:
        ProtocolError: The answer does not decode.
    """
    return answer.read(_Video).status == "completed"


def read_video(answer: Answer, *, poll_s: float) -> Pending:
    """
    The state of an unfinished video. An unknown status counts as "not finished".

    Raises:
        GenerationFailed: The generation failed. Retryable after an internal error only.
        ProtocolError: The answer does not decode or has no id.
    """
    video = answer.read(_Video)
    if not video.id:
        raise ProtocolError("the answer holds no video id", http_status=answer.status)
    if video.status == "failed":
        raise _failed(video, answer.headers.get("x-request-id"))
    unknown = None if video.status in _OPEN else video.status[:100]
    if unknown is not None:
        log.warning("vendor_status_unknown", operation=video.id, status=unknown)
    return Pending(
        operation=video.id,
        poll_after_s=poll_s,
        progress=_progress(video.progress),
        unknown_status=unknown,
        request_id=answer.headers.get("x-request-id"),
    )


def read_content(answer: Answer, content: Answer) -> Done:
    """
    The finished video.

    Raises:
        ProtocolError: The download is empty.
    """
    if not content.body:
        raise ProtocolError("the finished video is empty", http_status=content.status)
    media_type = content.headers.get("content-type", "").partition(";")[0].strip()
    return Done(
        outputs=(
            VideoOutput(data=content.body, media_type=media_type if media_type.startswith("video/") else "video/mp4"),
        ),
        usage=Usage(seconds=number(answer.read(_Video).seconds)),
        request_id=answer.headers.get("x-request-id"),
    )


class _Video(Struct, frozen=True):
    status: str
    id: str = ""
    progress: Any = None
    seconds: Any = None
    error: Any = None


def _progress(percent: object) -> float | None:
    found = number(percent)
    return None if found is None else min(found / 100, 1.0)


def _failed(video: _Video, request_id: str | None) -> GenerationFailed:
    error = error_of(video.error)
    code = error.code if error is not None else None
    return GenerationFailed(
        f"openai made no video: {error.text if error is not None else 'no reason given'}",
        retryable=code in _INTERNAL,
        code=code,
        request_id=request_id,
    )


def _request(model: str, params: SoraParams) -> Mapping[str, object]:
    """The fields of the form, in the order of OpenAI's client."""
    form = {"prompt": params.prompt, "model": model, "seconds": params.duration, "size": params.size}
    links = [reference for reference in params.image_urls if embedded(reference) is None]
    return {**form, "input_reference[image_url]": links[0]} if links else form


VIDEO_FAMILIES: Final[Families] = {
    "sora": ModelFamily(type=TaskType.VIDEO, params=SoraParams, timeout_s=TIMEOUT_S, request=_request),
}
