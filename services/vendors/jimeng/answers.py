"""Answers of the visual API: pure functions from an answer to an outcome. Only the fields that are used are decoded."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import structlog
from msgspec import Raw, Struct

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
from services.vendors.base64_data import decode_base64
from services.vendors.jimeng.calls import Operation
from services.vendors.jimeng.families import JimengFamily
from services.vendors.jimeng.faults import SUCCESS, text_or_none
from services.vendors.jimeng.media import image_type

_OPEN: Final = frozenset({"in_queue", "generating"})
_GONE: Final = {
    "not_found": "the vendor does not know the task (it forgets tasks after 12 hours)",
    "expired": "the task expired at the vendor",
}

log = structlog.get_logger(__name__)


class _Answered(Struct, frozen=True):
    code: Any = None
    data: Raw = Raw()
    request_id: Any = None


class _Data(Struct, frozen=True):
    task_id: Any = None
    status: Any = None
    video_url: Any = None
    image_urls: Any = None
    binary_data_base64: Raw = Raw()


def read_submission(answer: Answer, req_key: str) -> Operation:
    """
    The operation that the submit started.

    Raises:
        ProtocolError: The answer does not decode or has no task id.
    """
    answered = _read(answer)
    task_id = text_or_none(_data(answer, answered).task_id)
    if task_id is None:
        raise _damaged(answer, answered, "accepted the task and did not say its id")
    return Operation(req_key, task_id)


def read_result(answer: Answer, family: JimengFamily) -> Done:
    """
    The result of a synchronous call.

    Raises:
        GenerationFailed: The answer has no result.
        ProtocolError: The answer does not decode.
    """
    answered = _read(answer)
    return _done(answer, answered, family)


def read_progress(answer: Answer, family: JimengFamily, *, operation: str, poll_scale: float) -> Outcome:
    """
    The state of an operation. An unknown status counts as "not finished", because another poll costs nothing.

    Raises:
        GenerationFailed: The vendor no longer has the task, or the task is done without a result.
        ProtocolError: The answer does not decode.
    """
    answered = _read(answer)
    status = _data(answer, answered).status
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


def _done(answer: Answer, answered: _Answered, family: JimengFamily) -> Done:
    request_id = text_or_none(answered.request_id)
    data = _data(answer, answered)
    if family.type is TaskType.VIDEO:
        outputs: list[Output] = [
            VideoOutput(url=url, lifetime_s=family.link_lifetime_s) for url in _texts([data.video_url])
        ]
    else:
        outputs = [
            ImageOutput(url=url, lifetime_s=family.link_lifetime_s) for url in _texts(data.image_urls)
        ] or _pictures(answer, answered, data)
    if not outputs:
        raise GenerationFailed(
            f"volcengine finished without a {family.type}",
            retryable=False,
            http_status=answer.status,
            request_id=request_id,
        )
    return Done(outputs=tuple(outputs), request_id=request_id)


def _pictures(answer: Answer, answered: _Answered, data: _Data) -> list[Output]:
    try:
        texts = msgspec.json.decode(data.binary_data_base64 or b"[]", type=list[Raw])
    except msgspec.ValidationError:
        return []
    return [_picture(answer, answered, text) for text in texts if _is_text(text)]


def _picture(answer: Answer, answered: _Answered, text: Raw) -> Output:
    try:
        content = decode_base64(text, strict=False)
    except ValueError as error:
        raise _damaged(answer, answered, "answered a picture that is not base64") from error
    if not content:
        raise _damaged(answer, answered, "answered an empty picture")
    return ImageOutput(data=content, media_type=image_type(content))


def _is_text(raw: Raw) -> bool:
    quoted = memoryview(raw)
    return len(quoted) > 2 and quoted[0] == ord('"')


def _texts(values: object) -> Sequence[str]:
    if not isinstance(values, list):
        return ()
    return [value for value in values if isinstance(value, str) and value.strip()]


def _data(answer: Answer, answered: _Answered) -> _Data:
    """The field `data`; with no fields set where it is absent or of another type."""
    try:
        return msgspec.json.decode(answered.data or b"null", type=_Data | None) or _Data()
    except msgspec.ValidationError:
        return _Data()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(answer, answered, "answered with data that do not decode") from error


def _damaged(answer: Answer, answered: _Answered, what: str) -> ProtocolError:
    return ProtocolError(f"volcengine {what}", http_status=answer.status, request_id=text_or_none(answered.request_id))
