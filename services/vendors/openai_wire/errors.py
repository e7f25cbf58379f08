"""
Errors in OpenAI's format, which Ark also uses: `{"error": {"code", "message", "type", "param"}}`.

The meaning of a code differs by vendor: each vendor gives `fault_reader` its own table.
"""

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

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

MAX_MESSAGE_CHARS: Final = 1000

ErrorMeaning: TypeAlias = Literal["rate_limited", "overloaded", "failed", "unknown"] | RejectReason


class VendorError(Struct, frozen=True, kw_only=True):
    """
    The error in a vendor's answer.

    Attributes:
        code: Such as "RateLimitExceeded.EndpointRPMExceeded", or None.
        kind: The field `type`, such as "insufficient_quota", or None.
        message: The vendor's text; may be empty.
    """

    code: str | None = None
    kind: str | None = None
    message: str = ""

    @property
    def text(self) -> str:
        """Code and message in one line of at most `MAX_MESSAGE_CHARS` characters."""
        said = self.message or "no reason given"
        return (f"{self.code}: {said}" if self.code else said)[:MAX_MESSAGE_CHARS]


ReadMeaning: TypeAlias = Callable[[VendorError], ErrorMeaning | None]


class _Envelope(Struct, frozen=True):
    error: Any = None


def error_of(value: object) -> VendorError | None:
    """The error in a decoded `error` field, whatever its type, or None where the field is empty."""
    if isinstance(value, dict):
        return VendorError(
            code=_text(value.get("code")), kind=_text(value.get("type")), message=_text(value.get("message")) or ""
        )
    return VendorError(message=str(value)) if value else None


def read_error(body: bytes) -> VendorError | None:
    """The error in a body, or None where the body has none or is not JSON."""
    try:
        return error_of(msgspec.json.decode(body, type=_Envelope).error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def fault_reader(vendor: str, read_meaning: ReadMeaning, *, hide: Secret) -> ReadFault:
    """
    The `fault` function for `VendorHttp` that maps the answers of that vendor to errors.

    Args:
        vendor: Name of the vendor in messages.
        read_meaning: From the vendor's error to its meaning, or None for "by the HTTP status".
        hide: The API key, which is masked in messages. The message of a 401 is left out completely, because vendors
            repeat the key there with only a part of it masked.
    """

    def fault(answer: Answer) -> ProviderError | None:
        if answer.status < 400:
            return None
        error = read_error(answer.body)
        meaning = _meaning(answer.status, error, read_meaning)
        return _failure(meaning, _sentence(vendor, answer.status, error, hide), answer, error)

    return fault


def _meaning(status: int, error: VendorError | None, read_meaning: ReadMeaning) -> ErrorMeaning:
    """A 5xx is always unknown: the answer does not say what the vendor did before it failed."""
    if status >= 500 or status == 408:
        return "unknown"
    own = read_meaning(error) if error is not None else None
    if own is not None:
        return own
    match status:
        case 429:
            return "rate_limited"
        case 401 | 403:
            return "auth"
        case 404:
            return "not_found"
        case _:
            return "invalid_input"


def _sentence(vendor: str, status: int, error: VendorError | None, hide: Secret) -> str:
    if status == 401:
        code = f" ({error.code})" if error is not None and error.code else ""
        return f"{vendor} refused the credentials{code}"
    if error is None:
        return f"{vendor} answered HTTP {status}"
    return f"{vendor} answered {error.text.replace(hide.reveal(), '***')}"


def _failure(meaning: ErrorMeaning, text: str, answer: Answer, error: VendorError | None) -> ProviderError:
    facts: dict[str, Any] = {
        "code": error.code if error is not None else None,
        "http_status": answer.status,
        "request_id": answer.headers.get("x-request-id"),
    }
    match meaning:
        case "rate_limited":
            return RateLimited(text, retry_after_s=retry_after_s(answer), **facts)
        case "overloaded":
            return Overloaded(text, retry_after_s=retry_after_s(answer), **facts)
        case "failed":
            return GenerationFailed(text, **facts)
        case "unknown":
            return OutcomeUnknown(text, **facts)
        case reason:
            return Rejected(text, reason=reason, **facts)


def retry_after_s(answer: Answer) -> float | None:
    """The wait that the vendor asks for, in seconds; `retry-after-ms` comes first, as in OpenAI's own client."""
    milliseconds = answer.headers.get("retry-after-ms", "")
    return float(milliseconds) / 1000 if milliseconds.isdecimal() else answer.retry_after_s


def _text(value: object) -> str | None:
    return None if value is None else str(value)
