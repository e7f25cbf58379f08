"""Error responses: each exception class has an HTTP status, and every response has the envelope."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeGuard

import structlog
from litestar import Response
from litestar.exceptions import HTTPException
from litestar.routes import BaseRoute, HTTPRoute
from litestar.types import ExceptionHandlersMap
from msgspec import Struct

from api.context import Call, context_of, use_cases_of
from core import errors
from core.errors import FieldProblem, InvalidRequest, PolyrelayError
from core.redaction import HIDDEN, caller_text_without_secrets, is_secret, without_secrets

log = structlog.get_logger(__name__)

RETRY_AFTER_S: Final = 5
CHALLENGE: Final = 'Bearer realm="polyrelay", HMAC-SHA256, AWS4-HMAC-SHA256'
"""The authentication schemes that a 401 offers."""


class MalformedJson(PolyrelayError):
    """The body cannot be decoded."""

    code = "malformed_json"


class WrongContentType(PolyrelayError):
    """The body is not declared as JSON."""

    code = "unsupported_media_type"


class ClientGone(PolyrelayError):
    """The caller closed the connection before its request was complete."""

    code = "client_disconnected"


class RequestTooSlow(PolyrelayError):
    """The request did not arrive in time."""

    code = "request_timeout"


class RangeNotSatisfiable(PolyrelayError):
    """The range of bytes lies outside of the file."""

    code = "range_not_satisfiable"


class Problem(Struct, frozen=True, kw_only=True):
    """
    The error of a response.

    Attributes:
        code: A constant, for programs.
        message: For people.
        details: One for each wrong field.
        request_id: Also in the header X-Request-Id and in the server's logs.
    """

    code: str
    message: str
    details: Sequence[FieldProblem] = ()
    request_id: str


class ProblemAnswer(Struct, frozen=True, kw_only=True):
    """The envelope of every error response."""

    success: bool = False
    data: None = None
    message: str
    error: Problem


STATUSES: Final[Mapping[type[PolyrelayError], int]] = {
    MalformedJson: 400,
    ClientGone: 400,
    errors.Unauthenticated: 401,
    errors.KeyExpired: 401,
    errors.KeyRevoked: 401,
    errors.InvalidSignature: 401,
    errors.ClockSkew: 401,
    errors.ReplayedRequest: 401,
    errors.Forbidden: 403,
    errors.TaskNotFound: 404,
    errors.FileNotFound: 404,
    errors.KeyNotFound: 404,
    errors.UserNotFound: 404,
    RequestTooSlow: 408,
    errors.NotPossible: 409,
    errors.Stale: 409,
    errors.EmailTaken: 409,
    WrongContentType: 415,
    RangeNotSatisfiable: 416,
    errors.InvalidRequest: 422,
    errors.IdempotencyKeyReused: 422,
    errors.UnknownProvider: 422,
    errors.UnknownModel: 422,
    errors.QueueFull: 429,
    errors.TooManyTasks: 429,
    errors.TooManyRequests: 429,
    errors.AuditFailed: 500,
    errors.ProviderUnavailable: 503,
    errors.StoreUnavailable: 503,
    errors.QueueUnavailable: 503,
}
"""The HTTP status of every class that callers see; any other class is a 500 without its text."""

_HTTP: Final[Mapping[int, tuple[str, str]]] = {
    400: ("bad_request", ""),
    404: ("route_not_found", "There is no {method} {path}; /docs lists all routes."),
    405: ("method_not_allowed", "{path} does not allow {method}; /docs lists all routes."),
    413: ("body_too_large", "The body is larger than {limit} bytes (MAX_BODY_BYTES)."),
}
_HIDDEN: Final[Mapping[type[PolyrelayError], str]] = {
    errors.StoreUnavailable: "The store of tasks and results is unavailable; try again.",
    errors.QueueUnavailable: "The queue is unavailable; try again.",
}
_LONGEST_PATH: Final = 200


def answer(
    call: Call,
    *,
    status: int,
    code: str,
    message: str,
    details: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response[ProblemAnswer]:
    """An error response; its code is noted in the request's context."""
    context = context_of(call)
    context.problem_code = code
    message = without_secrets(message)
    problem = Problem(code=code, message=message, details=details, request_id=context.request_id)
    return Response(
        ProblemAnswer(message=message, error=problem),
        status_code=status,
        headers=headers,
        media_type="application/json",
    )


def on_own_error(call: Call, error: PolyrelayError) -> Response[ProblemAnswer]:
    """The response to one of our own errors."""
    status = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), None)
    if status is None:
        return on_unforeseen(call, error)
    headers = {}
    message = str(error)
    if (hidden := _HIDDEN.get(type(error))) is not None:
        log.error("dependency_unavailable", code=error.code, reason=str(error))
        message, headers = hidden, {"Retry-After": str(RETRY_AFTER_S)}
    if isinstance(error, errors.Unauthenticated):
        headers = {"WWW-Authenticate": CHALLENGE}
    if isinstance(error, errors.ComeBackLater):
        headers = {"Retry-After": str(error.retry_after_s)}
        use_cases_of(call).metrics.refused(error)
    details: Sequence[FieldProblem] = ()
    if isinstance(error, InvalidRequest):
        details = tuple(map(_without_secret, error.details))
        message = _summary_of(details)
    return answer(call, status=status, code=error.code, message=message, details=details, headers=headers)


def on_http_error(call: Call, error: HTTPException) -> Response[ProblemAnswer]:
    """The response to one of the framework's errors."""
    if error.status_code >= 500:
        return on_unforeseen(call, error)
    code, text = _HTTP.get(error.status_code, ("bad_request", ""))
    limit = use_cases_of(call).request_limits.max_body_bytes
    path = call.scope["path"][:_LONGEST_PATH]
    message = text.format(method=call.scope["method"], path=path, limit=limit) if text else error.detail
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods_of(call))
    return answer(call, status=error.status_code, code=code, message=message, headers=headers)


def on_unforeseen(call: Call, error: Exception) -> Response[ProblemAnswer]:
    """The response to a defect of the server: the log has the traceback, the response does not."""
    log.error("request_failed", path=call.scope["path"], exc_info=error)
    message = "The server failed. Its log has details under this request_id."
    return answer(call, status=500, code="internal_error", message=message)


HANDLERS: Final[ExceptionHandlersMap] = {
    PolyrelayError: on_own_error,
    HTTPException: on_http_error,
    Exception: on_unforeseen,
}


def _methods_of(call: Call) -> list[str]:
    """The methods that the path allows."""
    path = call.scope["path"].rstrip("/")
    return sorted({method for route in call.app.routes if _leads_to(route, path) for method in route.methods})


def _leads_to(route: BaseRoute, path: str) -> TypeGuard[HTTPRoute]:
    pattern = re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(route.path_format))
    return isinstance(route, HTTPRoute) and re.fullmatch(pattern, path) is not None


def _without_secret(detail: FieldProblem) -> FieldProblem:
    """Secrets, by name or by looks, are not returned even to the caller: responses are logged and shared."""
    field, message, value = without_secrets(detail.field), without_secrets(detail.message), detail.value
    if isinstance(value, str):
        hidden = is_secret(field) and not field.lower().endswith("tokens")
        value = HIDDEN if hidden else caller_text_without_secrets(value)
    return FieldProblem(field=field, message=message, value=value)


def _summary_of(details: Sequence[FieldProblem]) -> str:
    texts = [f"{problem.field}: {problem.message}" if problem.field else problem.message for problem in details[:3]]
    more = f" (and {len(details) - 3} more)" if len(details) > 3 else ""
    return "; ".join(text.rstrip(".") for text in texts) + more


def field_problem(field: str, message: str, value: Any = None) -> InvalidRequest:
    """The error of one wrong field."""
    return InvalidRequest([FieldProblem(field=field, message=message, value=value)])
