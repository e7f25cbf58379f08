"""Stored responses: the vendor's own from the task's attempts, and results that the vendor has forgotten."""

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from core.attempts import VendorAnswer
from core.errors import FileNotFound
from core.result_store import ResultStore
from core.task_states import State
from core.tasks import Result, Task
from polyrelay import Answer, TaskType
from services.relay.bodies import refuses_us, with_our_id
from services.relay.responses import Business, Gateway, RelayAnswer, VendorResponse

Links: TypeAlias = Callable[[str, int], str]
"""From a task's id and the index of a result to this server's link to the file."""

REFUSED_UPSTREAM: Final = Gateway(
    code="InternalError",
    message="the vendor refuses this server's own credentials; the caller's are valid. Report it to the operator",
)


def passed_on(answer: Answer, *, vendor_id: str | None, task_id: str) -> RelayAnswer:
    """The vendor's response, with our task id."""
    if refuses_us(answer.body):
        return REFUSED_UPSTREAM
    return VendorResponse(
        status=answer.status,
        media_type=answer.headers.get("content-type"),
        body=with_our_id(answer.body, vendor_id=vendor_id, task_id=task_id),
        retry_after=answer.headers.get("retry-after"),
    )


def stored_answer(task: Task) -> VendorAnswer | None:
    """The vendor's response to the submit that led to the task's state, if there was one."""
    attempt = task.attempts[-1] if task.attempts else None
    if attempt is None or task.state in {State.PENDING, State.SUBMITTING, State.CANCELLED}:
        return None
    if task.state is State.FAILED and attempt.operation is None and attempt.failure != task.failure:
        return None  # it failed for another reason, such as its deadline
    return attempt.answer


async def passed_on_again(task: Task, stored: VendorAnswer, store: ResultStore) -> RelayAnswer:
    """
    The stored vendor's response to the submit, with our task id.

    Raises:
        StoreUnavailable: It is a file that cannot be read now.
        FileNotFound: Its file was deleted.
    """
    body = stored.body if stored.file is None else await _file(store, stored.file)
    answer = Answer(status=stored.status, headers={"content-type": stored.media_type or ""}, body=body or b"")
    return passed_on(answer, vendor_id=None, task_id=task.id)


def open_answer(task: Task, status: str) -> Business:
    """The response to a query for a task without a result yet."""
    empty = {} if task.type is TaskType.VIDEO else {"image_urls": None, "binary_data_base64": None}
    return Business(data={"status": status, **empty})


async def done_answer(task: Task, store: ResultStore, links: Links, *, return_url: bool) -> Business:
    """
    The response to a query for a completed task, with the stored results.

    Raises:
        StoreUnavailable, FileNotFound: As `passed_on_again`.
    """
    return Business(data={"status": "done", **await _results(task, store, links, return_url=return_url)})


async def _results(task: Task, store: ResultStore, links: Links, *, return_url: bool) -> Mapping[str, Any]:
    first = task.results[0]
    if first.type is TaskType.TEXT:
        return _data_of_text(first.text or "")
    urls = [_link(task, index, links) for index in range(len(task.results))]
    if first.type is TaskType.VIDEO:
        return {"video_url": urls[0]}
    if return_url or any(result.file is None for result in task.results):
        return {"image_urls": urls, "binary_data_base64": None}
    images = [base64.b64encode(await _file(store, result.file or "")).decode() for result in task.results]
    return {"image_urls": None, "binary_data_base64": images}


def _link(task: Task, index: int, links: Links) -> str | None:
    result: Result = task.results[index]
    return links(task.id, index) if result.file is not None else result.url


def _data_of_text(text: str) -> dict[str, Any]:
    """The `data` of a capability that makes neither images nor videos."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return {"resp_data": text}


async def _file(store: ResultStore, name: str) -> bytes:
    if not name:
        raise FileNotFound("the response is not stored")
    stored = await store.open(name)
    return b"".join([chunk async for chunk in stored.chunks])
