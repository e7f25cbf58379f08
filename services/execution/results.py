"""Files of a task in the result store: results, copies of the vendor's links, and long responses of relayed calls."""

import mimetypes
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import httpx
import structlog
from msgspec import structs

from core.attempts import VendorAnswer
from core.clock import Clock
from core.result_store import ResultStore
from core.tasks import Result, Task
from polyrelay import Answer, Done, ImageOutput, Output, TaskType, TextOutput, VideoOutput
from services.runtime.public_transport import ForbiddenAddress

INLINE_BYTES: Final = 64 * 1024
"""A longer body of a vendor's response is a file of the result store; a shorter one is stored with the attempt."""

_KINDS: Final = {ImageOutput: TaskType.IMAGE, VideoOutput: TaskType.VIDEO, TextOutput: TaskType.TEXT}
_FALLBACK_TYPES: Final = {TaskType.IMAGE: "image/jpeg", TaskType.VIDEO: "video/mp4"}
_SUFFIXES: Final = {"image/jpeg": ".jpg", "video/mp4": ".mp4", "image/png": ".png", "image/webp": ".webp"}
_VAGUE_TYPES: Final = frozenset({"application/octet-stream", "binary/octet-stream", "text/plain", ""})

log = structlog.get_logger(__name__)


class LinkGone(Exception):
    """The vendor refuses the link for good."""


class CopyFailed(Exception):
    """A result could not be copied this time."""


class Results:
    """
    Stores the outputs of tasks.

    Args:
        store: The result store.
        clock: For the expiry of links.
        copies: Whether links are copied; otherwise callers get the vendor's links.
        http: Fetches links; follows redirects.
        max_bytes: A longer result is not copied.
    """

    def __init__(
        self, *, store: ResultStore, clock: Clock, copies: bool, http: httpx.AsyncClient, max_bytes: int = 2**30
    ) -> None:
        self._store = store
        self._clock = clock
        self._copies = copies
        self._http = http
        self._max_bytes = max_bytes

    async def take(self, task: Task, done: Done) -> tuple[Result, ...]:
        """
        The outputs as results: texts as they are, bytes stored, links with their expiry.

        Raises:
            StoreUnavailable: The store cannot be written.
        """
        return tuple([await self._take(task, index, output) for index, output in enumerate(done.outputs)])

    def to_copy(self, results: tuple[Result, ...]) -> bool:
        """Whether any of the results is a link that must be copied."""
        return self._copies and any(_is_link(result) for result in results)

    async def copy(self, task: Task) -> tuple[Result, ...]:
        """
        The task's results, each link copied into the store.

        Raises:
            LinkGone: The vendor refuses a link for good.
            CopyFailed: The vendor did not respond, or its file was cut short or is too large.
            StoreUnavailable: The store cannot be written.
        """
        return tuple(
            [
                await self._copy(task, index, result) if _is_link(result) else result
                for index, result in enumerate(task.results)
            ]
        )

    async def with_response(self, task: Task, answer: object) -> Task:
        """
        The task with the vendor's response at its latest attempt, to be saved with the outcome.

        Only a relayed task keeps the response: its caller speaks the vendor's own API. A body longer than
        `INLINE_BYTES`, such as one with images in it, becomes a file.

        Args:
            task: It has an open attempt.
            answer: None if there was no response; a plugin may have put any value here.

        Raises:
            StoreUnavailable: The store cannot be written.
        """
        if task.relay is None or not isinstance(answer, Answer):
            return task
        kept = VendorAnswer(status=answer.status, media_type=answer.headers.get("content-type"), body=answer.body)
        if len(answer.body) > INLINE_BYTES:
            name = f"{task.id}/{task.attempt.number}/answer"
            await self._store.put(name, answer.body)
            kept = structs.replace(kept, body=None, file=name)
        return structs.replace(task, attempts=task.with_attempt(answer=kept))

    async def drop(self, task: Task) -> None:
        """
        Delete the task's files.

        Raises:
            StoreUnavailable: The store cannot be written.
        """
        await self._store.delete_all(task.id)

    async def _take(self, task: Task, index: int, output: Output) -> Result:
        kind = _KINDS[type(output)]
        if isinstance(output, TextOutput):
            return Result(type=kind, text=output.text, finish_reason=output.finish_reason)
        if output.data is None:
            return Result(
                type=kind,
                url=output.url,
                url_expires=_expiry(output.lifetime_s, self._clock()),
                media_type=output.media_type,
            )
        media_type = output.media_type or _FALLBACK_TYPES[kind]
        name = _file_name(task, index, media_type)
        await self._store.put(name, output.data)
        return Result(type=kind, file=name, media_type=media_type, size_bytes=len(output.data))

    async def _copy(self, task: Task, index: int, result: Result) -> Result:
        url = result.url or ""
        try:
            async with self._http.stream("GET", url) as response:
                _refuse_bad_answer(response)
                media_type = _media_type(response, url, result)
                name = _file_name(task, index, media_type)
                size = await self._store.put_stream(name, self._limited(response))
        except ForbiddenAddress as error:
            log.warning("result_link_blocked", reason=str(error), setting="PRIVATE_RESULT_HOSTS")
            raise CopyFailed("the vendor's link leads to where results are not copied from") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CopyFailed(f"the vendor's link could not be read: {type(error).__name__}") from error
        return structs.replace(result, file=name, media_type=media_type, size_bytes=size)

    async def _limited(self, response: httpx.Response) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > self._max_bytes:
                raise CopyFailed(f"the result is larger than {self._max_bytes} bytes")
            yield chunk


def _is_link(result: Result) -> bool:
    return result.url is not None and result.file is None


def _refuse_bad_answer(response: httpx.Response) -> None:
    if response.status_code in (408, 425, 429) or response.status_code >= 500:
        raise CopyFailed(f"the vendor's link answered HTTP {response.status_code}")
    if not response.is_success:
        raise LinkGone(f"the vendor's link answered HTTP {response.status_code}")


def _media_type(response: httpx.Response, url: str, result: Result) -> str:
    said = response.headers.get("content-type", "").split(";")[0].strip().lower()
    if said not in _VAGUE_TYPES:
        return str(said)
    return result.media_type or mimetypes.guess_type(urlsplit(url).path)[0] or _FALLBACK_TYPES[result.type]


def _file_name(task: Task, index: int, media_type: str) -> str:
    suffix = _SUFFIXES.get(media_type) or mimetypes.guess_extension(media_type) or ".bin"
    return f"{task.id}/{task.attempt.number}/{index}{suffix}"


def _expiry(lifetime_s: float | None, now: datetime) -> datetime | None:
    return None if lifetime_s is None else now + timedelta(seconds=lifetime_s)
