"""Result file route: a stored file, whole or a range of it."""

import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from typing import Any, Final

from litestar import Controller, Response, get
from litestar.response import Stream
from msgspec import Struct

from api.context import Call, use_cases_of
from api.problems import RangeNotSatisfiable
from api.route_policy import RoutePolicy, guarded_by
from api.routes.task_create import RESULT_PATH
from api.routes.tasks import named_task
from core.callers import Role
from core.errors import FileNotFound
from core.result_store import StoredFile
from core.task_states import State
from core.tasks import Result, Task

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")
_UNKNOWN_TYPE: Final = "application/octet-stream"


class Span(Struct, frozen=True):
    """A range of bytes, from `first` up to and including `last`."""

    first: int
    last: int


class Files(Controller):
    """The route of stored result files."""

    path = RESULT_PATH

    @get(
        "/{task_id:str}/files/{index:int}",
        opt=guarded_by(RoutePolicy(access=Role.APP, audit=None, signed_link=True)),
    )
    async def file(self, request: Call) -> Response[Any]:
        """The file of one result, whole or a range of it."""
        adapters = use_cases_of(request).adapters
        task = await named_task(request)
        index = int(request.path_params["index"])
        result, name = stored_result(task, index)
        headers = _headers(result, task.id, index, name)
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(b"", status_code=304, headers=headers)
        stored = await adapters.results.open(name)
        span = wanted_span(request.headers.get("range"), stored.size_bytes)
        return _whole(stored, headers, result) if span is None else _part(stored, span, headers, result)


def stored_result(task: Task, index: int) -> tuple[Result, str]:
    """
    The result of that index and its file's name.

    Raises:
        FileNotFound: The result does not exist (yet), or has no stored file; says which.
    """
    if task.state is not State.COMPLETED:
        raise FileNotFound(f"task {task.id} is {task.status} and has no files")
    if not 0 <= index < len(task.results):
        raise FileNotFound(f"task {task.id} has {len(task.results)} results; there is none of index {index}")
    result = task.results[index]
    if result.file is None:
        raise FileNotFound(f"result {index} of task {task.id} has no stored file; the task has its link or text")
    return result, result.file


def wanted_span(header: str | None, size_bytes: int) -> Span | None:
    """
    The range of a Range header, or None for the whole file, also where the header names several ranges.

    Raises:
        RangeNotSatisfiable: It lies outside of the file.
    """
    match = _RANGE.fullmatch(header or "")
    if match is None or match[0] == "bytes=-":
        return None
    if not match[1]:
        span = Span(max(0, size_bytes - int(match[2])), size_bytes - 1)
    else:
        span = Span(int(match[1]), min(int(match[2] or size_bytes), size_bytes - 1))
    if not 0 <= span.first <= span.last:
        raise RangeNotSatisfiable(f"the file has {size_bytes} bytes; {header} lies outside of it")
    return span


async def cut(chunks: AsyncIterator[bytes], span: Span) -> AsyncIterator[bytes]:
    """The bytes of that range."""
    position = 0
    async for chunk in chunks:
        first, last = span.first - position, span.last + 1 - position
        position += len(chunk)
        if first < len(chunk):
            yield chunk[max(0, first) : last]
        if last <= len(chunk):
            return


def _whole(stored: StoredFile, headers: dict[str, str], result: Result) -> Stream:
    headers = {**headers, "Content-Length": str(stored.size_bytes)}
    return Stream(stored.chunks, headers=headers, media_type=_media_type(result))


def _part(stored: StoredFile, span: Span, headers: dict[str, str], result: Result) -> Stream:
    headers = {
        **headers,
        "Content-Length": str(span.last + 1 - span.first),
        "Content-Range": f"bytes {span.first}-{span.last}/{stored.size_bytes}",
    }
    return Stream(cut(stored.chunks, span), status_code=206, headers=headers, media_type=_media_type(result))


def _headers(result: Result, task_id: str, index: int, name: str) -> dict[str, str]:
    shown_as = "attachment" if _media_type(result) == _UNKNOWN_TYPE else "inline"
    return {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=86400",
        "Content-Disposition": f'{shown_as}; filename="{task_id}-{index}{PurePosixPath(name).suffix}"',
        "ETag": f'"{hashlib.sha256(f"{name} {result.size_bytes}".encode()).hexdigest()[:32]}"',
        "X-Content-Type-Options": "nosniff",
    }


def _media_type(result: Result) -> str:
    """The type where a browser may display it; anything else, such as SVG with scripts, is only for download."""
    kind = result.media_type or ""
    return kind if kind.startswith(("image/", "video/")) and "svg" not in kind else _UNKNOWN_TYPE
