"""Responses of the relay: the vendor's own, and this server's errors in the vendor's shapes."""

import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import structlog
from litestar import Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from api.context import Call, context_of, use_cases_of
from api.problems import CHALLENGE, STATUSES
from core.errors import ComeBackLater, PolyrelayError
from services.relay.responses import (
    BODY_TOO_LARGE,
    GATEWAY,
    INTERNAL_ERROR,
    NO_SUCH_INTERFACE,
    PARAMETER_ERROR,
    RATE_LIMITED,
    SUCCESS,
    TOO_MANY_OPEN,
    Business,
    Gateway,
    RelayAnswer,
    RelayCallRefused,
    VendorResponse,
)

log = structlog.get_logger(__name__)

OF_AUTHENTICATION: Final[Mapping[str, str]] = {
    "unauthenticated": "InvalidAccessKey",
    "key_expired": "InvalidAccessKey",
    "key_revoked": "InvalidAccessKey",
    "invalid_signature": "SignatureDoesNotMatch",
    "clock_skew": "InvalidTimestamp",
    "replayed_request": "SignatureDoesNotMatch",
    "forbidden": "AccessDenied",
}
"""The gateway's code for each of our authentication errors."""

OF_SERVICE: Final[Mapping[str, int]] = {
    "invalid_request": PARAMETER_ERROR,
    "idempotency_key_reused": PARAMETER_ERROR,
    "request_timeout": PARAMETER_ERROR,
    "client_disconnected": PARAMETER_ERROR,
    "unknown_provider": NO_SUCH_INTERFACE,
    "unknown_model": NO_SUCH_INTERFACE,
    "queue_full": TOO_MANY_OPEN,
    "too_many_tasks": TOO_MANY_OPEN,
    "rate_limited": RATE_LIMITED,
}
"""The vendor's code for our errors about requests and limits; any other error is an internal error."""

_HIDDEN: Final = frozenset({"store_unavailable", "queue_unavailable"})


def on_call_refused(call: Call, error: RelayCallRefused) -> Response[bytes]:
    """The response to a call that cannot be served."""
    return rendered(call, error.answer)


def on_own_error(call: Call, error: PolyrelayError) -> Response[bytes]:
    """The response to one of our own errors, in the vendor's shapes."""
    if not any(kind in STATUSES for kind in type(error).__mro__):
        return on_unforeseen(call, error)
    context_of(call).problem_code = error.code
    if isinstance(error, ComeBackLater):
        use_cases_of(call).metrics.refused(error)
    if error.code == "unauthenticated" and "authorization" not in call.headers:
        return rendered(call, Gateway(code="MissingAuthenticationToken", message=str(error)))
    return rendered(call, answer_of(error))


def on_http_error(call: Call, error: HTTPException) -> Response[bytes]:
    """The response to one of the framework's errors."""
    if error.status_code == 413:
        return rendered(call, Business(code=BODY_TOO_LARGE))
    if error.status_code >= 500:
        return on_unforeseen(call, error)
    return rendered(call, Business(code=PARAMETER_ERROR, message=error.detail, status=error.status_code))


def on_unforeseen(call: Call, error: Exception) -> Response[bytes]:
    """The response to a defect of the server: the log has the traceback, the response does not."""
    log.error("request_failed", path=call.scope["path"], exc_info=error)
    return rendered(call, Business(code=INTERNAL_ERROR))


HANDLERS: Final[ExceptionHandlersMap] = {
    RelayCallRefused: on_call_refused,
    PolyrelayError: on_own_error,
    HTTPException: on_http_error,
    Exception: on_unforeseen,
}


def answer_of(error: PolyrelayError) -> Business | Gateway:
    """One of our own errors in the vendor's shapes."""
    if error.code in OF_AUTHENTICATION:
        return Gateway(code=OF_AUTHENTICATION[error.code], message=str(error))
    if error.code in OF_SERVICE:
        retry_after_s = getattr(error, "retry_after_s", None)
        return Business(code=OF_SERVICE[error.code], message=str(error), retry_after_s=retry_after_s)
    if error.code in _HIDDEN:
        log.error("dependency_unavailable", code=error.code, reason=str(error))
        return Business(code=INTERNAL_ERROR, message="this server's store is unavailable; try again")
    return Business(code=INTERNAL_ERROR, message=f"{error.code}: {error}")


def rendered(call: Call, answer: RelayAnswer) -> Response[bytes]:
    """The response as it is sent."""
    match answer:
        case VendorResponse():
            return _response(answer.body, answer.status, answer.media_type, answer.retry_after)
        case Business():
            _note(call, str(answer.code))
            return _response(_business(call, answer), answer.http_status, None, answer.retry_after_s)
        case Gateway():
            _note(call, answer.code)
            return _response(_gateway(call, answer), GATEWAY[answer.code][0], None, None)


def _note(call: Call, code: str) -> None:
    """Note an error of ours in the request's context, for the audit log."""
    if code != str(SUCCESS):
        context = context_of(call)
        context.problem_code = context.problem_code or code


def _response(body: bytes, status: int, media_type: str | None, retry_after: str | int | None) -> Response[bytes]:
    headers = {"Content-Type": media_type or "application/json"}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    if status == 401:
        headers["WWW-Authenticate"] = CHALLENGE
    return Response(body, status_code=status, headers=headers)


def _business(call: Call, answer: Business) -> bytes:
    document: dict[str, Any] = {
        "code": answer.code,
        "data": answer.data,
        "message": answer.text,
        "request_id": context_of(call).request_id,
        "status": answer.code,
        "time_elapsed": f"{_elapsed_ms(call):.6f}ms",
    }
    return msgspec.json.encode(document)


def _gateway(call: Call, answer: Gateway) -> bytes:
    metadata = {
        "RequestId": context_of(call).request_id,
        "Action": call.query_params.get("Action") or "",
        "Version": call.query_params.get("Version") or "",
        "Service": "cv",
        "Region": "cn-north-1",
        "Error": {"CodeN": GATEWAY[answer.code][1], "Code": answer.code, "Message": answer.message},
    }
    return msgspec.json.encode({"ResponseMetadata": metadata})


def _elapsed_ms(call: Call) -> float:
    return (time.perf_counter() - context_of(call).started_s) * 1000
