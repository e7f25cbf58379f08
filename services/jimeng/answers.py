"""What the vendor answered: pure, from an answer to an outcome. Only the fields that are used are read."""

import binascii
from collections.abc import Sequence
from typing import Any, Final

import structlog
from msgspec import Struct

from polyrelay import (
    Answer,
    Done,
    GenerationFailed,
    ImageOutput,
    Outcome,
    Output,
    Pending,
    ProtocolError,
    TaskType,
    VideoOutput,
)
from services.jimeng.calls import Operation
from services.jimeng.families import Family
from services.jimeng.faults import SUCCESS, text_or_none
from services.jimeng.media import image_type

_OPEN: Final = frozenset({"in_queue", "generating"})
_GONE: Final = {
    "not_found": "the vendor does not know the task (it forgets tasks after 12 hours)",
    "expired": "the task expired at the vendor",
}

log = structlog.get_logger("services.jimeng")


class _Answered(Struct, frozen=True):
    code: Any = None
    data: Any = None
    request_id: Any = None


def read_submission(answer: Answer, req_key: str) -> Operation:
    """
    The operation that was started.

    Raises:
        ProtocolError: The answer does not say which.
    """
    answered = _read(answer)
    task_id = text_or_none(_fields(answered).get("task_id"))
    if task_id is None:
        raise _damaged(answer, answered, "accepted the task and did not say its id")
    return Operation(req_key, task_id)


def read_result(answer: Answer, family: Family) -> Done:
    """
    The result that a synchronous call answered.

    Raises:
        GenerationFailed: It has no result.
        ProtocolError: It does not decode.
    """
    answered = _read(answer)
    return _done(answer, answered, family)


def read_progress(answer: Answer, family: Family, *, operation: str, poll_scale: float) -> Outcome:
    """
    How far an operation is. A status that is not known counts as open, for it costs nothing to ask again.

    Raises:
        GenerationFailed: The task is gone, or done without a result.
        ProtocolError: The answer does not decode.
    """
    answered = _read(answer)
    status = _fields(answered).get("status")
    if status == "done":
        return _done(answer, answered, family)
    if isinstance(status, str) and status in _GONE:
        raise GenerationFailed(
            _GONE[status],
            retryable=False,
            code=status,
            http_status=answer.status,
            request_id=text_or_none(answered.request_id),
        )
    unknown = None if isinstance(status, str) and status in _OPEN else str(status)[:100]
    if unknown is not None:
        log.warning("vendor_status_unknown", operation=operation, status=unknown)
    return Pending(
        operation=operation,
        poll_after_s=family.poll_after_s * poll_scale,
        unknown_status=unknown,
        request_id=text_or_none(answered.request_id),
    )


def request_id_of(answer: Answer) -> str | None:
    """
    The vendor's id of the request that was answered.

    Raises:
        ProtocolError: The answer does not decode.
    """
    return text_or_none(answer.read(_Answered).request_id)


def _read(answer: Answer) -> _Answered:
    answered = answer.read(_Answered)
    if answered.code != SUCCESS:
        raise _damaged(answer, answered, "answered without a code")
    return answered


def _done(answer: Answer, answered: _Answered, family: Family) -> Done:
    request_id = text_or_none(answered.request_id)
    fields = _fields(answered)
    if family.type is TaskType.VIDEO:
        outputs: list[Output] = [
            VideoOutput(url=url, lifetime_s=family.link_lifetime_s) for url in _texts([fields.get("video_url")])
        ]
    else:
        outputs = [
            ImageOutput(url=url, lifetime_s=family.link_lifetime_s) for url in _texts(fields.get("image_urls"))
        ] or [_picture(answer, answered, text) for text in _texts(fields.get("binary_data_base64"))]
    if not outputs:
        raise GenerationFailed(
            f"volcengine finished without a {family.type}",
            retryable=False,
            http_status=answer.status,
            request_id=request_id,
        )
    return Done(outputs=tuple(outputs), request_id=request_id)


def _picture(answer: Answer, answered: _Answered, text: str) -> Output:
    try:
        content = binascii.a2b_base64(text)
    except ValueError as error:
        raise _damaged(answer, answered, "answered a picture that is not base64") from error
    if not content:
        raise _damaged(answer, answered, "answered an empty picture")
    return ImageOutput(data=content, media_type=image_type(content))


def _texts(values: object) -> Sequence[str]:
    if not isinstance(values, list):
        return ()
    return [value for value in values if isinstance(value, str) and value.strip()]


def _fields(answered: _Answered) -> dict[str, Any]:
    return answered.data if isinstance(answered.data, dict) else {}


def _damaged(answer: Answer, answered: _Answered, what: str) -> ProtocolError:
    return ProtocolError(f"volcengine {what}", http_status=answer.status, request_id=text_or_none(answered.request_id))
