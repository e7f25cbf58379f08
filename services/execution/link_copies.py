"""Link copies: fetches the vendor's links of results into the result store, before they expire."""

import mimetypes
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

import httpx
import structlog
from msgspec import structs

from core.result_store import ResultStore
from core.tasks import Result, Task
from polyrelay import TaskType
from services.runtime.public_transport import ForbiddenAddress

FALLBACK_TYPES: Final = {TaskType.IMAGE: "image/jpeg", TaskType.VIDEO: "video/mp4"}
"""The media type of a result whose vendor names none."""

_SUFFIXES: Final = {"image/jpeg": ".jpg", "video/mp4": ".mp4", "image/png": ".png", "image/webp": ".webp"}
_VAGUE_TYPES: Final = frozenset({"application/octet-stream", "binary/octet-stream", "text/plain", ""})

log = structlog.get_logger(__name__)


class LinkGone(Exception):
    """The vendor refuses the link for good."""


class CopyFailed(Exception):
    """A result could not be copied this time."""


class LinkCopies:
    """
    Copies the vendor's links of results into the result store.

    Args:
        store: The result store.
        http: Fetches links; follows redirects.
        max_bytes: A longer result is not copied.
    """

    def __init__(self, *, store: ResultStore, http: httpx.AsyncClient, max_bytes: int = 2**30) -> None:
        self._store = store
        self._http = http
        self._max_bytes = max_bytes

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
                await self._copy(task, index, result) if result.is_link else result
                for index, result in enumerate(task.results)
            ]
        )

    async def _copy(self, task: Task, index: int, result: Result) -> Result:
        url = result.url or ""
        try:
            async with self._http.stream("GET", url) as response:
                _refuse_bad_answer(response)
                media_type = _media_type(response, url, result)
                name = file_name(task, index, media_type)
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


def _refuse_bad_answer(response: httpx.Response) -> None:
    if response.status_code in (408, 425, 429) or response.status_code >= 500:
        raise CopyFailed(f"the vendor's link answered HTTP {response.status_code}")
    if not response.is_success:
        raise LinkGone(f"the vendor's link answered HTTP {response.status_code}")


def _media_type(response: httpx.Response, url: str, result: Result) -> str:
    said = response.headers.get("content-type", "").split(";")[0].strip().lower()
    if said not in _VAGUE_TYPES:
        return str(said)
    return result.media_type or mimetypes.guess_type(urlsplit(url).path)[0] or FALLBACK_TYPES[result.type]


def file_name(task: Task, index: int, media_type: str) -> str:
    """The name in the result store of a result of the latest attempt."""
    suffix = _SUFFIXES.get(media_type) or mimetypes.guess_extension(media_type) or ".bin"
    return f"{task.id}/{task.attempt.number}/{index}{suffix}"
