"""
Relay service of Jimeng: sends a caller's request body to the visual API unchanged.

Only the fields that the task record needs are read: the `req_key`, the vendor's task id and the results.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec import Raw, structs

from core.tasks import RelayCall
from polyrelay import (
    Answer,
    Done,
    GenerationFailed,
    Job,
    Model,
    Outcome,
    Params,
    Pending,
    ProviderError,
    Rejected,
    TaskType,
    TextOutput,
    VendorHttp,
)
from services.vendors.jimeng.answers import read_progress, read_result, read_submission, request_id_of
from services.vendors.jimeng.calls import Operation, read_operation
from services.vendors.jimeng.families import DEFERRED, DEFERRED_HUMAN, SYNCHRONOUS, JimengFamily
from services.vendors.jimeng.fields import JimengParams

PROVIDER: Final = "volcengine"
VERSION: Final = "2022-08-31"
QUERY_OF: Final[Mapping[str, str | None]] = MappingProxyType(
    {calls.submit: calls.query for calls in (SYNCHRONOUS, DEFERRED, DEFERRED_HUMAN)}
)
"""From each Action that starts something to the Action that asks for its result, or None where the answer has it."""

QUERIES: Final = frozenset(query for query in QUERY_OF.values() if query is not None)

_LONGEST_TEXT: Final = 64 * 1024
_VIDEO_WORDS: Final = ("vgfm", "t2v", "i2v", "video", "realman")
_TIMEOUTS_S: Final = {TaskType.IMAGE: 900.0, TaskType.VIDEO: 3600.0}
_DELIVERY: Final = ("logo_info", "aigc_meta")


class RelayParams(Params, frozen=True, kw_only=True):
    """
    A call of the visual API, as the caller sent it.

    Attributes:
        action: Such as "CVSync2AsyncSubmitTask".
        version: Such as "2022-08-31".
        body: The JSON body, byte for byte.
    """

    action: str
    version: str
    body: str


class JimengRelay:
    """
    Sends calls for one `req_key`.

    Args:
        model: The model in task records and gates; its params are `RelayParams`.
        req_key: The vendor's name of the capability.
        family: Says how answers are read.
        http: Closed by the service that created this object.
        poll_scale: Multiplies the time between polls.
    """

    def __init__(
        self, model: Model, req_key: str, family: JimengFamily, http: VendorHttp, *, poll_scale: float
    ) -> None:
        self.models = (model,)
        self._req_key = req_key
        self._family = family
        self._http = http
        self._poll_scale = poll_scale

    async def submit(self, job: Job[Any]) -> Outcome:
        """See `RelayService.submit`."""
        params: RelayParams = job.params
        query, holder = query_of(params.action, params.version), _AnswerHolder()
        try:
            answer = await self._http.submit("/", json=Raw(params.body.encode()), query=query, keep=holder)
            return structs.replace(self._started(params.action, answer), answer=answer)
        except ProviderError as error:
            error.answer = holder.answer
            raise

    async def poll(self, job: Job[Any], operation: str) -> Outcome:
        """Ask for the result, as links."""
        params: RelayParams = job.params
        action = QUERY_OF.get(params.action)
        if action is None:
            raise Rejected(f"{params.action} answers at once; there is nothing to ask for", reason="not_found")
        body = inquiry_body(params.body, read_operation(operation), self._family.type)
        answer = await self._http.query("POST", "/", json=body, query=query_of(action, params.version))
        return _or_text(
            answer,
            lambda: read_progress(answer, self._family, operation=operation, poll_scale=self._poll_scale),
        )

    async def ask(self, call: RelayCall, body: bytes) -> Answer:
        """See `RelayService.ask`."""
        query, holder = query_of(call.action, call.version), _AnswerHolder()
        try:
            return await self._http.query("POST", "/", json=Raw(body), query=query, keep=holder)
        except ProviderError:
            if holder.answer is None:
                raise
            return holder.answer

    async def aclose(self) -> None:
        """Do nothing: the connections belong to the service."""

    def _started(self, action: str, answer: Answer) -> Outcome:
        if QUERY_OF.get(action) is None:
            return _or_text(answer, lambda: read_result(answer, self._family))
        operation = read_submission(answer, self._req_key).written()
        return Pending(
            operation=operation,
            poll_after_s=self._family.poll_after_s * self._poll_scale,
            request_id=request_id_of(answer),
        )


def query_of(action: str, version: str) -> tuple[tuple[str, str], ...]:
    """The query parameters of a call."""
    return (("Action", action), ("Version", version))


def guessed_family(req_key: str) -> JimengFamily:
    """A family for a `req_key` that is not in the catalogue; the kind of output is guessed from the name."""
    kind = TaskType.VIDEO if any(word in req_key for word in _VIDEO_WORDS) else TaskType.IMAGE
    return JimengFamily(type=kind, params=JimengParams, timeout_s=_TIMEOUTS_S[kind])


def relay_model(req_key: str, family: JimengFamily) -> Model:
    """A model for a `req_key` that is not in the catalogue."""
    return Model(name=req_key, type=family.type, params=RelayParams, timeout_s=family.timeout_s)


def inquiry_body(submitted: str, operation: Operation, kind: TaskType) -> dict[str, Any]:
    """The body of a poll by the server: images as links, and the watermark and metadata that the submit asked for."""
    fields = object_of(submitted.encode()) or {}
    delivery: dict[str, Raw] = {name: fields[name] for name in _DELIVERY if name in fields}
    if kind is TaskType.IMAGE:
        delivery["return_url"] = Raw(b"true")
    body = {"req_key": operation.req_key, "task_id": operation.task_id}
    return {**body, "req_json": msgspec.json.encode(delivery).decode()} if delivery else body


def object_of(body: bytes) -> dict[str, Raw] | None:
    """The undecoded fields of a JSON object, or None where the body is not a JSON object."""
    try:
        return msgspec.json.decode(body, type=dict[str, Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class _AnswerHolder:
    """Stores the vendor's answer, if there was one; passed to `VendorHttp` as `keep`."""

    def __init__(self) -> None:
        self.answer: Answer | None = None

    def __call__(self, answer: Answer) -> None:
        self.answer = answer


def _or_text(answer: Answer, read: Callable[[], Outcome]) -> Outcome:
    """Read the outcome. The `data` of a capability without an image or video, such as a detection, becomes a text."""
    try:
        return read()
    except GenerationFailed as error:
        if error.code is not None:
            raise
        data = (object_of(answer.body) or {}).get("data", Raw(b"null"))
        return Done(outputs=(TextOutput(text=bytes(data).decode(errors="replace")[:_LONGEST_TEXT]),))
