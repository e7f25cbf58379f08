"""Answers from the record: the vendor's that were kept, and results that outlived the vendor's memory."""

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
from services.relay.responses import Business, Gateway, Handed, RelayAnswer

Links: TypeAlias = Callable[[str, int], str]
"""From a task's id and the index of a result to the link under which this server serves it."""

REFUSED_UPSTREAM: Final = Gateway(
    code="InternalError",
    message="the vendor does not take this server's own credentials; the caller's are good. Tell the operator",
)


def handed(answer: Answer, *, vendor_id: str | None, task_id: str) -> RelayAnswer:
    """What the vendor just said, with our id."""
    if refuses_us(answer.body):
        return REFUSED_UPSTREAM
    return Handed(
        status=answer.status,
        media_type=answer.headers.get("content-type"),
        body=with_our_id(answer.body, vendor_id=vendor_id, task_id=task_id),
        retry_after=answer.headers.get("retry-after"),
    )


def kept_answer(task: Task) -> VendorAnswer | None:
    """The vendor's answer to the submit that decided what the task is now, if there was one."""
    attempt = task.attempts[-1] if task.attempts else None
    if attempt is None or task.state in {State.PENDING, State.SUBMITTING, State.CANCELLED}:
        return None
    if task.state is State.FAILED and attempt.operation is None and attempt.failure != task.failure:
        return None  # it failed for something else, such as its deadline
    return attempt.answer


async def handed_again(task: Task, kept: VendorAnswer, store: ResultStore) -> RelayAnswer:
    """
    What the vendor said to the submit, with our id.

    Raises:
        StoreUnavailable: It is a file, and cannot be read now.
        FileNotFound: It was removed.
    """
    body = kept.body if kept.file is None else await _file(store, kept.file)
    answer = Answer(status=kept.status, headers={"content-type": kept.media_type or ""}, body=body or b"")
    return handed(answer, vendor_id=None, task_id=task.id)


def open_answer(task: Task, status: str) -> Business:
    """A task that has no result yet, as a query sees it."""
    empty = {} if task.type is TaskType.VIDEO else {"image_urls": None, "binary_data_base64": None}
    return Business(data={"status": status, **empty})


async def done_answer(task: Task, store: ResultStore, links: Links, *, return_url: bool) -> Business:
    """
    A task that is completed, with results from the record.

    Raises:
        StoreUnavailable, FileNotFound: As `handed_again`.
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
    pictures = [base64.b64encode(await _file(store, result.file or "")).decode() for result in task.results]
    return {"image_urls": None, "binary_data_base64": pictures}


def _link(task: Task, index: int, links: Links) -> str | None:
    result: Result = task.results[index]
    return links(task.id, index) if result.file is not None else result.url


def _data_of_text(text: str) -> dict[str, Any]:
    """The `data` of a capability that makes neither pictures nor videos."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return {"resp_data": text}


async def _file(store: ResultStore, name: str) -> bytes:
    if not name:
        raise FileNotFound("the answer is not kept here")
    stored = await store.open(name)
    return b"".join([chunk async for chunk in stored.chunks])
