"""
Ark video models: Seedance. Ark has a task for each video, which is created, polled and cancelled.

Source: Ark's pages of the video API (docs/82379/1520757 and its neighbours), copies of September 2025 and of
August 2026, and `volcengine-ark-runtime` 5.0.54, read on 2026-11-22.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import structlog
from msgspec import Struct

from core.catalogue import Entry
from polyrelay import (
    Answer,
    Done,
    GenerationFailed,
    Job,
    Model,
    Outcome,
    Pending,
    ProtocolError,
    ProviderError,
    Rejected,
    TaskType,
    Usage,
    VendorHttp,
    VideoOutput,
)
from services.vendors.ark.video_params import (
    Seedance1Params,
    Seedance2FastParams,
    Seedance2Params,
    Seedance15Params,
    Seedance25Params,
    SeedanceParams,
)
from services.vendors.model_families import Families, ModelFamily, Requests, given, models_of
from services.vendors.numbers import count, number
from services.vendors.openai_wire.errors import error_of

PATH: Final = "/contents/generations/tasks"
URL_LIFETIME_S: Final = 24 * 3600.0
POLL_S: Final = 5.0
TIMEOUT_S: Final = 3600.0

log = structlog.get_logger(__name__)


class ArkVideos:
    """
    Videos by Seedance.

    Args:
        entries: Entries of the catalogue; those of other families are ignored.
        http: Closed with the service; services may share it.
        poll_scale: Multiplies the time between polls.
    """

    def __init__(self, entries: Sequence[Entry], http: VendorHttp, *, poll_scale: float = 1.0) -> None:
        self.models = ark_video_models(entries)
        self._requests = Requests(entries, VIDEO_FAMILIES)
        self._http = http
        self._poll_s = POLL_S * poll_scale

    async def submit(self, job: Job[Any]) -> Pending:
        """Create the task at Ark."""
        answer = await self._http.submit(PATH, json=self._requests.body(job))
        request_id = answer.headers.get("x-request-id")
        return Pending(operation=read_created(answer), poll_after_s=self._poll_s, request_id=request_id)

    async def poll(self, job: Job[Any], operation: str) -> Outcome:  # noqa: ARG002 - the contract's signature
        """Read the task's status and result."""
        return read_task(await self._get(operation), poll_s=self._poll_s)

    async def cancel(self, job: Job[Any], operation: str) -> None:  # noqa: ARG002 - the contract's signature
        """
        Remove the task from Ark's queue.

        The status is read first, because for a finished task the same call deletes the record and with it the video. A
        task that is cancelled already has stopped: another worker that was woken for the same cancellation request may
        have cancelled it, also between the two calls.

        Raises:
            Rejected: The task runs or has ended.
        """
        status = await self._status(operation)
        if status == "cancelled":
            return
        if status != "queued":
            raise Rejected(f"too late to cancel: the task is {status}, and Ark only cancels a queued one")
        try:
            await self._http.query("DELETE", _path(operation), json={})
        except ProviderError:
            if await self._status(operation) != "cancelled":
                raise

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _status(self, operation: str) -> str:
        return (await self._get(operation)).read(_Task).status

    async def _get(self, operation: str) -> Answer:
        return await self._http.query("GET", _path(operation))


def ark_video_models(entries: Iterable[Entry]) -> tuple[Model, ...]:
    """What `ArkVideos` serves of these entries."""
    return models_of(entries, VIDEO_FAMILIES)


def read_created(answer: Answer) -> str:
    """
    The id of the task that was created.

    Raises:
        ProtocolError: The answer does not decode or has no id.
    """
    task_id = answer.read(_Created).id
    if not task_id:
        raise ProtocolError("the answer holds no task id", http_status=answer.status)
    return task_id


def read_task(answer: Answer, *, poll_s: float) -> Outcome:
    """
    The state of a task at Ark. An unknown status counts as "not finished".

    Raises:
        GenerationFailed: The task failed, was cancelled or expired. Retryable after an internal error only.
        ProtocolError: The answer does not decode, or the task succeeded without a video.
    """
    task = answer.read(_Task)
    request_id = answer.headers.get("x-request-id")
    match task.status:
        case "succeeded":
            return Done(outputs=(_video(task),), usage=_usage(task), request_id=request_id)
        case "failed":
            raise _failed(task, request_id)
        case "cancelled" | "expired":
            raise GenerationFailed(f"the task is {task.status} at Ark", code=task.status, request_id=request_id)
        case "queued" | "running":
            return Pending(operation=task.id, poll_after_s=poll_s, request_id=request_id)
        case unknown:
            log.warning("vendor_status_unknown", operation=task.id, status=unknown[:100])
            return Pending(operation=task.id, poll_after_s=poll_s, unknown_status=unknown[:100], request_id=request_id)


class _Created(Struct, frozen=True):
    id: str = ""


class _Content(Struct, frozen=True):
    video_url: str | None = None


class _Task(Struct, frozen=True):
    id: str
    status: str
    content: _Content | None = None
    error: Any = None
    usage: Any = None
    duration: Any = None


def _path(operation: str) -> str:
    return f"{PATH}/{quote(operation, safe='')}"


def _video(task: _Task) -> VideoOutput:
    url = task.content.video_url if task.content is not None else None
    if not url:
        raise ProtocolError(f"the task {task.id} succeeded without a video_url")
    return VideoOutput(url=url, media_type="video/mp4", lifetime_s=URL_LIFETIME_S)


def _usage(task: _Task) -> Usage:
    return Usage(
        output_tokens=count(task.usage, "completion_tokens"),
        total_tokens=count(task.usage, "total_tokens"),
        seconds=number(task.duration),
    )


def _failed(task: _Task, request_id: str | None) -> GenerationFailed:
    error = error_of(task.error)
    code = error.code if error is not None else None
    return GenerationFailed(
        f"ark made no video: {error.text if error is not None else 'no reason given'}",
        retryable=(code or "").startswith("Internal"),
        code=code,
        request_id=request_id,
    )


def _request(model: str, params: SeedanceParams) -> Mapping[str, object]:
    """The field `watermark` is always sent, because its default differs between models."""
    text = [{"type": "text", "text": params.prompt}] if params.prompt else []
    ratio = {} if params.aspect_ratio is None else {"ratio": params.aspect_ratio}
    return {
        "model": model,
        "content": [*text, *map(_picture, params.pictures)],
        **given(params, "resolution", *params.EXTRA_FIELDS),
        **ratio,
        "duration": params.duration,
        "watermark": params.watermark,
    }


def _picture(picture: tuple[str, str]) -> Mapping[str, object]:
    role, url = picture
    return {"type": "image_url", "image_url": {"url": url}, "role": role}


VIDEO_FAMILIES: Final[Families] = {
    name: ModelFamily(type=TaskType.VIDEO, params=params, timeout_s=TIMEOUT_S, request=_request)
    for name, params in (
        ("seedance-1", Seedance1Params),
        ("seedance-1-5", Seedance15Params),
        ("seedance-2", Seedance2Params),
        ("seedance-2-fast", Seedance2FastParams),
        ("seedance-2-5", Seedance25Params),
    )
}
