"""
Errors of the visual API and what they mean.

Source: the vendor's error tables docs/6369/68677 (gateway) and docs/6444/69728 (visual), and the tables of the Jimeng
pages, in copies read on 2026-11-22. The code decides; the HTTP status alone is not sufficient.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Struct

from polyrelay import (
    Answer,
    GenerationFailed,
    OutcomeUnknown,
    Overloaded,
    ProviderError,
    RateLimited,
    Rejected,
    RejectReason,
    Secret,
)
from polyrelay.http_options import ReadFault

SUCCESS: Final = 10000

_LONGEST_MESSAGE: Final = 500
_RATE_LIMITED: Final = 50429
_OVERLOADED: Final = 50430
_INTERNAL: Final = frozenset({50500, 50501})
_REJECTED: Final[Mapping[int, RejectReason]] = {
    50400: "auth",
    50402: "not_found",
    **dict.fromkeys((50411, 50412, 50413, 50512, 50518), "content_blocked"),
    **dict.fromkeys((*range(50200, 50216), 60102), "invalid_input"),
}
_FAILED_RETRYABLE: Final = frozenset({50511, 50516, 50517, 50519})
_FAILED: Final = frozenset({50520, 50521, 50522})
_GATEWAY: Final[Mapping[str, RejectReason]] = {
    **dict.fromkeys(
        (
            "MissingAuthenticationToken",
            "MissingSignature",
            "InvalidTimestamp",
            "InvalidAccessKey",
            "SignatureDoesNotMatch",
            "LackPolicy",
            "AccessDenied",
            "InvalidAuthorization",
            "InvalidCredential",
            "InvalidSecretToken",
        ),
        "auth",
    ),
    **dict.fromkeys(("ServiceNotFound", "InvalidActionOrVersion"), "not_found"),
    **dict.fromkeys(("MissingParameter", "MissingRequestInfo"), "invalid_input"),
}
_GATEWAY_INTERNAL: Final = frozenset({"InternalError", "FailToConnect", "InternalServiceTimeout"})


class _ErrorDetails(Struct, frozen=True, kw_only=True):
    """An error in an answer, read from either of the two error formats (gateway and visual service)."""

    text: str
    code: str
    status: int
    request_id: str | None
    retry_after_s: float | None


class _Envelope(Struct, frozen=True):
    code: Any = None
    message: Any = None
    request_id: Any = None
    metadata: Any = msgspec.field(name="ResponseMetadata", default=None)


def faults(*secrets: Secret | None) -> ReadFault:
    """A `fault` function that masks these secrets where the vendor repeats them in a message."""
    return partial(read_fault, secrets=tuple(secret for secret in secrets if secret is not None and secret.reveal()))


def read_fault(answer: Answer, secrets: tuple[Secret, ...] = ()) -> ProviderError | None:
    """The error that an answer means, or None where it is a success or has no known error format."""
    try:
        envelope = msgspec.json.decode(answer.body, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(envelope.metadata, dict) and isinstance(envelope.metadata.get("Error"), dict):
        return _of_gateway(answer, envelope.metadata, secrets)
    code = envelope.code
    if isinstance(code, bool) or not isinstance(code, int) or code == SUCCESS:
        return None
    return _of_service(code, _details(answer, str(code), envelope.message, envelope.request_id, secrets))


def text_or_none(value: object) -> str | None:
    """A vendor's id as text, whether the answer has it as a text or as a number; None for other values."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


def _of_service(code: int, details: _ErrorDetails) -> ProviderError:
    if code == _RATE_LIMITED:
        return _throttled(RateLimited, details)
    if code == _OVERLOADED:
        return _throttled(Overloaded, details)
    if code in _INTERNAL:
        return _failure(OutcomeUnknown, details)
    if code in _FAILED_RETRYABLE or code in _FAILED:
        return _failure(partial(GenerationFailed, retryable=code in _FAILED_RETRYABLE), details)
    reason = _REJECTED.get(code)
    return _rejected(reason, details) if reason else _by_status(details)


def _of_gateway(answer: Answer, metadata: Mapping[str, Any], secrets: tuple[Secret, ...]) -> ProviderError:
    error = metadata["Error"]
    code = text_or_none(error.get("Code")) or text_or_none(error.get("CodeN")) or "unknown"
    details = _details(answer, code, error.get("Message"), metadata.get("RequestId"), secrets)
    if code in _GATEWAY_INTERNAL:
        return _failure(OutcomeUnknown, details)
    reason = _GATEWAY.get(code)
    return _rejected(reason, details) if reason else _by_status(details)


def _by_status(details: _ErrorDetails) -> ProviderError:
    """The error of a code that is in no table, by the HTTP status."""
    match details.status:
        case 429:
            return _throttled(RateLimited, details)
        case 401 | 403:
            return _rejected("auth", details)
        case 404:
            return _rejected("not_found", details)
        case status if status >= 500 or status == 408:
            return _failure(OutcomeUnknown, details)
        case status if status < 400:
            return _failure(partial(GenerationFailed, retryable=False), details)
        case _:
            return _rejected("invalid_input", details)


def _details(
    answer: Answer, code: str, message: object, request_id: object, secrets: tuple[Secret, ...]
) -> _ErrorDetails:
    words = message if isinstance(message, str) and message.strip() else f"HTTP {answer.status}"
    found = text_or_none(request_id)
    where = f"code {code}, request {found}" if found else f"code {code}"
    return _ErrorDetails(
        text=f"volcengine: {_masked(words, secrets)[:_LONGEST_MESSAGE]} ({where})",
        code=code,
        status=answer.status,
        request_id=found,
        retry_after_s=answer.retry_after_s,
    )


def _masked(text: str, secrets: tuple[Secret, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret.reveal(), "***")
    return text


def _throttled(kind: type[RateLimited] | type[Overloaded], details: _ErrorDetails) -> ProviderError:
    return _failure(partial(kind, retry_after_s=details.retry_after_s), details)


def _rejected(reason: RejectReason, details: _ErrorDetails) -> ProviderError:
    return _failure(partial(Rejected, reason=reason), details)


def _failure(kind: Callable[..., ProviderError], details: _ErrorDetails) -> ProviderError:
    return kind(details.text, code=details.code, http_status=details.status, request_id=details.request_id)
