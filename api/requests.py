"""Reads requests: JSON bodies, query parameters, task ids in paths, and the header `Idempotency-Key`."""

import asyncio
import contextlib
import hashlib
import re
from typing import Annotated, Any, Final, TypeVar

import msgspec
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.types import Empty, Receive, Scope
from litestar.utils.scope.state import ScopeState
from msgspec import Meta, Struct

from api.context import Call, context_in
from api.problems import ClientGone, MalformedJson, RequestTooSlow, WrongContentType, field_problem
from core.callers import Caller
from core.errors import FieldProblem, InvalidRequest, TaskNotFound
from core.task_repository import TaskQuery
from core.task_states import Status
from core.tasks import Idempotency
from core.validation import checked, shown
from polyrelay import TaskType
from services.tasks.idempotency import HEADER, idempotency_of

S = TypeVar("S", bound=Struct)

MOST_LISTED: Final = 100
DEEPEST_OFFSET: Final = 10_000
MOST_DRAINED_BYTES: Final = 256 * 2**20
DRAIN_S: Final = 30.0
TASK_ID: Final = r"^task_[0-9a-f]{32}$"

IDEMPOTENCY_KEY: Final = r"^[\x21-\x7e]{1,255}$"
REPLAYED: Final = "Idempotency-Replayed"
"""The response header of a create whose task existed already."""

_IDEMPOTENCY_KEY: Final = re.compile(IDEMPOTENCY_KEY)
_TASK_ID: Final = re.compile(TASK_ID)
_decode: Final = msgspec.json.Decoder(Any).decode

UserId = Annotated[str, Meta(min_length=1, max_length=128, description="Only tasks of this user.")]
Limit = Annotated[int, Meta(ge=1, le=MOST_LISTED, description="The most tasks to return.")]
Offset = Annotated[int, Meta(ge=0, le=DEEPEST_OFFSET, description="Newest tasks to skip; for later pages use `after`.")]
After = Annotated[
    str, Meta(pattern=TASK_ID, description="Only tasks older than this one: the `next_after` of the previous page")
]
Name = Annotated[str, Meta(min_length=1, max_length=128)]


class ListQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filter and page of a list of tasks."""

    user_id: UserId | None = None
    type: TaskType | None = None
    status: Status | None = None
    provider: Name | None = None
    limit: Limit = 20
    offset: Offset = 0
    after: After | None = None

    def query(self, caller: Caller) -> TaskQuery:
        """The same for the repository, among the tasks that the caller may see."""
        return TaskQuery(
            owner=caller.confined_to,
            user_id=self.user_id,
            type=self.type,
            status=self.status,
            provider=self.provider,
            limit=self.limit,
            offset=self.offset,
            after=self.after,
        )


class CatalogueQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filter of a list of models."""

    provider: Name | None = None
    type: TaskType | None = None


async def read_object(call: Call) -> dict[str, Any]:
    """As `read_object_in`."""
    return await read_object_in(call.scope, call.receive)


async def read_object_in(scope: Scope, receive: Receive) -> dict[str, Any]:
    """
    The body as a JSON object.

    Raises:
        WrongContentType: Its declared type is not JSON.
        MalformedJson: It cannot be decoded.
        InvalidRequest: It is not an object.
        ClientGone: The caller closed the connection.
        RequestEntityTooLarge: It is longer than MAX_BODY_BYTES.
    """
    _refuse_other_types(header_in(scope, b"content-type"))
    try:
        value = _decode(await read_body(scope, receive))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedJson(f"The body is not valid JSON: {error}.") from error
    except RecursionError as error:
        raise MalformedJson("The body is nested too deeply.") from error
    if not isinstance(value, dict):
        raise field_problem("", "The body must be a JSON object.", shown(value))
    return value


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """
    The body as it was received. It may be read again, also through the framework's request.

    Raises:
        ClientGone: The caller closed the connection before it was complete.
        RequestTooSlow: It is not complete after REQUEST_TIMEOUT_S.
        RequestEntityTooLarge: It is longer than MAX_BODY_BYTES; the rest of it was read and discarded.
    """
    known = ScopeState.from_scope(scope)
    if known.body is Empty:
        try:
            async with asyncio.timeout(context_in(scope).use_cases.request_limits.timeout_s):
                known.body = await _received(scope, receive)
        except TimeoutError as error:
            raise RequestTooSlow("the body did not arrive in time") from error
        except RequestEntityTooLarge:
            await drain(scope, receive)
            raise
    return known.body


def header_in(scope: Scope, name: bytes) -> str | None:
    """The first header of that name, in lower case, or None."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


def read_query(call: Call, kind: type[S]) -> S:
    """
    The query parameters.

    Raises:
        InvalidRequest: Names each parameter that is wrong, unknown or given twice.
    """
    given = call.query_params.dict()
    doubled = [
        FieldProblem(field=shown(name), message="Allowed once.", value=shown(values))
        for name, values in given.items()
        if len(values) > 1
    ]
    if doubled:
        raise InvalidRequest(doubled)
    return checked({name: values[0] for name, values in given.items()}, kind, strict=False)


def task_id_of(call: Call) -> str:
    """
    The task id in the path. A text that cannot be an id is not looked up.

    Raises:
        TaskNotFound: No task has such an id.
    """
    task_id = str(call.path_params["task_id"])
    if _TASK_ID.match(task_id) is None:
        raise TaskNotFound(shown(task_id))
    return task_id


def idempotency_in(scope: Scope, route: str, body: bytes) -> Idempotency | None:
    """
    What makes this request a repetition of another one, where its caller sends an `Idempotency-Key`.

    Args:
        route: What is created; the same key for another route is another key.
        body: As it was received.

    Raises:
        InvalidRequest: The header is not allowed like that, or was sent more than once.
    """
    keys = [value.decode("latin-1") for name, value in scope["headers"] if name == b"idempotency-key"]
    if not keys:
        return None
    if len(keys) > 1 or _IDEMPOTENCY_KEY.fullmatch(keys[0]) is None:
        message = "Allowed: 1 to 255 visible ASCII characters, in one header."
        raise field_problem(HEADER, message, shown(", ".join(keys)))
    context = context_in(scope)
    return idempotency_of(
        keys[0],
        caller=context.caller,
        route=route,
        body_hash=hashlib.sha256(body).hexdigest(),
        now=context.use_cases.adapters.clock(),
    )


async def _received(scope: Scope, receive: Receive) -> bytes:
    limit = context_in(scope).use_cases.request_limits.max_body_bytes
    announced = header_in(scope, b"content-length") or ""
    if announced.isdecimal() and int(announced) > limit:
        raise RequestEntityTooLarge
    pieces: list[bytes] = []
    size_bytes = 0
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone("the caller closed the connection before the body was complete")
        pieces.append(message["body"])
        size_bytes += len(message["body"])
        if size_bytes > limit:
            raise RequestEntityTooLarge
        more = message.get("more_body", False)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _has_body(scope: Scope) -> bool:
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])


async def drain(scope: Scope, receive: Receive, *, for_s: float = DRAIN_S) -> None:
    """
    Read and discard the rest of the body: many clients read no response before they have sent everything.

    It stops after `for_s` seconds, or `MOST_DRAINED_BYTES`.
    """
    if ScopeState.from_scope(scope).body is not Empty or not _has_body(scope):
        return
    drained = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(for_s):
            while drained < MOST_DRAINED_BYTES:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
                drained += len(message["body"])


def _refuse_other_types(content_type: str | None) -> None:
    kind = (content_type or "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise WrongContentType(f"The body's Content-Type is {shown(kind)}. Allowed: application/json.")
