"""The API's calls as values, and the pauses, links and files that the synchronous and the asynchronous client share."""

import os
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final, Generic, NoReturn, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from msgspec import Struct

from polyrelay.client.errors import ApiError, ClientError, NotReached
from polyrelay.client.views import (
    ModelView,
    ProviderList,
    TaskCancelled,
    TaskCreated,
    TaskPage,
    TaskRemoved,
    TaskRetried,
    TaskView,
)

T = TypeVar("T")

DEFAULT_URL: Final = "http://127.0.0.1:8080"
_ROOT: Final = "/api/v1/ai"
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 3.0
LONGEST_OUTAGE_S: Final = 60.0
"""How long `wait` repeats its read while the server does not answer, in seconds."""
MOST_REPEATS: Final = 4
"""Most repetitions of a create that has an idempotency key."""
_TOO_MANY: Final = 429
_PASSING: Final = frozenset({_TOO_MANY, 502, 503, 504})
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_FILE_NAME: Final = re.compile(r'filename="?([^";]+)')
_SUFFIXES: Final = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "text/plain": ".txt",
}


class Call(Struct, Generic[T], frozen=True, kw_only=True):
    """
    One call of the API.

    Attributes:
        answer: Type of the answer's `data`.
        json: The body, or None for a call without one.
        headers: Sent with this call, beside those of every call.
    """

    method: str
    path: str
    answer: type[T]
    params: Mapping[str, str | int] = {}
    json: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = {}


class Models(Struct, frozen=True, kw_only=True):
    """The catalogue of models."""

    models: list[ModelView]


def create(task_type: str, fields: Mapping[str, Any], idempotency_key: str | None = None) -> Call[TaskCreated]:
    """Create a task; a field that is None is left out."""
    body = {name: value for name, value in fields.items() if value is not None}
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    path = f"{_ROOT}/{quote(task_type, safe='')}/task"
    return Call(method="POST", path=path, answer=TaskCreated, json=body, headers=headers)


def get(task_id: str) -> Call[TaskView]:
    """Read a task."""
    return Call(method="GET", path=f"{_ROOT}/task/result/{quote(task_id, safe='')}", answer=TaskView)


def delete(task_id: str) -> Call[TaskRemoved]:
    """Delete a task."""
    return Call(method="DELETE", path=f"{_ROOT}/task/{quote(task_id, safe='')}", answer=TaskRemoved)


def cancel(task_id: str) -> Call[TaskCancelled]:
    """Cancel a task."""
    return Call(method="POST", path=f"{_ROOT}/task/{quote(task_id, safe='')}/cancel", answer=TaskCancelled)


def retry(task_id: str) -> Call[TaskRetried]:
    """Run a failed task again."""
    return Call(method="POST", path=f"{_ROOT}/task/{quote(task_id, safe='')}/retry", answer=TaskRetried)


def page(filters: Mapping[str, str | int | None]) -> Call[TaskPage]:
    """List tasks; a filter that is None does not filter."""
    params = {name: value for name, value in filters.items() if value is not None}
    return Call(method="GET", path=f"{_ROOT}/tasks", answer=TaskPage, params=params)


def models() -> Call[Models]:
    """Read the catalogue of models."""
    return Call(method="GET", path=f"{_ROOT}/models", answer=Models)


def providers() -> Call[ProviderList]:
    """Read the catalogue of providers."""
    return Call(method="GET", path=f"{_ROOT}/providers", answer=ProviderList)


def request_of(call: Call[Any], client: httpx.Client | httpx.AsyncClient, base_url: str) -> httpx.Request:
    """The call as an HTTP request."""
    url, params = f"{base_url}{call.path}", dict(call.params) or None
    return client.build_request(call.method, url, params=params, json=call.json, headers=dict(call.headers))


def headers_of(api_key: str | None) -> dict[str, str]:
    """The headers of each call."""
    key = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    return {"User-Agent": "polyrelay-client", "Accept": "application/json", **key}


def not_reached(base_url: str, error: httpx.TransportError) -> NoReturn:
    """Raise `NotReached` for an error of httpx."""
    reason = str(error) or type(error).__name__
    raise NotReached(base_url, reason, sent=not isinstance(error, _NOT_SENT)) from error


def may_pass(error: ClientError) -> bool:
    """Whether the same read may succeed later."""
    return isinstance(error, NotReached) or (isinstance(error, ApiError) and error.status in _PASSING)


def may_be_sent_again(error: ClientError) -> bool:
    """Whether a create with an idempotency key may succeed later. A 429 is not repeated, but raised at once."""
    return may_pass(error) and not (isinstance(error, ApiError) and error.status == _TOO_MANY)


def repeats_s(idempotency_key: str | None) -> Iterator[float]:
    """The pauses before each repetition of a create, in seconds. Without a key there is none: it is not safe."""
    return islice(pauses_s(), 0 if idempotency_key is None else MOST_REPEATS)


def uses_proxies(base_url: str) -> bool:
    """Whether the environment's proxies are used: not for a server on this machine."""
    return urlsplit(base_url).hostname not in {"127.0.0.1", "localhost", "::1"}


def pauses_s() -> Iterator[float]:
    """The pauses between reads of a task, in seconds: 0.2 at first, growing to 3."""
    pause_s = _FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(_LONGEST_PAUSE_S, pause_s * 1.4)


def download_url(base_url: str, link: str) -> str:
    """The whole URL of a link, which may be relative to the server."""
    return str(httpx.URL(f"{base_url}/").join(link))


def download_headers(base_url: str, url: str, api_key: str | None) -> dict[str, str]:
    """Headers of a download. The API key is sent to the task API's server only, never to a vendor's."""
    own, other = urlsplit(base_url), urlsplit(url)
    same = (own.scheme, own.netloc) == (other.scheme, other.netloc)
    return headers_of(api_key if same else None) | {"Accept": "*/*"}


def suffix_of(response: httpx.Response) -> str:
    """The suffix of a downloaded file: by its media type, the name that the server gives, or its URL."""
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    named = _FILE_NAME.search(response.headers.get("content-disposition", ""))
    return _SUFFIXES.get(media_type) or (named and _suffix(named[1])) or _suffix(response.url.path) or ".bin"


def _suffix(name: str) -> str:
    suffix = Path(name).suffix
    return suffix if suffix[1:].isalnum() else ""


def write_text(text: str, path: Path) -> Path:
    """Save a text result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


class PartialFile:
    """A file that gets its name when it is complete, and not before."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._file = self._part.open("wb")

    def write(self, chunk: bytes) -> None:
        """Add bytes."""
        self._file.write(chunk)

    def keep(self, path: Path | None = None) -> Path:
        """Close the file and give it its name, or another one."""
        self._file.close()
        return self._part.replace(path or self._path)

    def drop(self) -> None:
        """Delete what was written, unless `keep` was called."""
        self._file.close()
        self._part.unlink(missing_ok=True)
