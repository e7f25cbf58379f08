"""
The errors that a provider raises, and the vendor's answer that an error may carry.

The class of the error decides whether a task may be submitted again:

    ProviderError
    ├── NotAccepted          nothing was started; a repeated submit is safe
    │   ├── Unavailable      the vendor could not be reached
    │   ├── RateLimited      too many requests; `retry_after_s` where the vendor says
    │   └── Overloaded       too many generations open, or no capacity
    ├── Rejected             the vendor refused; the same request will be refused again
    ├── GenerationFailed     the vendor accepted, then failed; `retryable` says if a new attempt may help
    ├── OutcomeUnknown       the request may have been accepted; it is never submitted again automatically
    └── ProtocolError        an answer that does not decode

`Answer` is in this module because the two depend on each other: reading an answer may raise a `ProtocolError`, and
every error has an `answer`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, TypeVar

import msgspec

T = TypeVar("T")

RejectReason = Literal["invalid_input", "content_blocked", "auth", "quota", "not_found"]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """
    A vendor's HTTP response, read to its end.

    Attributes:
        status: HTTP status.
        headers: Names in lower case.
        body: Decompressed bytes.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def read(self, kind: type[T]) -> T:
        """
        Decode the body as JSON of that type; unknown fields are ignored.

        Raises:
            ProtocolError: The body does not decode.
        """
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ProtocolError(f"the answer does not decode: {error}", http_status=self.status) from error

    @property
    def retry_after_s(self) -> float | None:
        """`Retry-After` in seconds from now, given as seconds or as a date; None where it is absent or neither."""
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdecimal():
            return float(value[:9])
        try:
            return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
        except (TypeError, ValueError):  # no date, or one without a zone
            return None


class ProviderError(Exception):
    """
    A provider could not do what it was asked to do.

    Attributes:
        message: One sentence for people, without secrets.
        code: The vendor's own code, such as "50413" or "RateLimitExceeded", or None.
        http_status: Status of the vendor's answer, or None where there was none.
        request_id: The vendor's id of the request, for the vendor's support.
        answer: The vendor's answer, unchanged, where a relay returns it to its caller; else None.
    """

    answer: Answer | None = None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        http_status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.http_status = http_status
        self.request_id = request_id


class NotAccepted(ProviderError):
    """
    Nothing was started: submitting again is safe.

    Attributes:
        retry_after_s: Wait before the next submit that the vendor asks for, in seconds, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        code: str | None = None,
        http_status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, code=code, http_status=http_status, request_id=request_id)
        self.retry_after_s = retry_after_s


class Unavailable(NotAccepted):
    """The vendor could not be reached, or answered that it did not accept the request."""


class RateLimited(NotAccepted):
    """Too many requests in a period."""


class Overloaded(NotAccepted):
    """Too many generations open at once, or the vendor has no capacity."""


class Rejected(ProviderError):
    """
    The vendor refused the request, and will refuse the same request again.

    Attributes:
        reason: invalid_input, content_blocked, auth, quota or not_found.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: RejectReason = "invalid_input",
        code: str | None = None,
        http_status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, code=code, http_status=http_status, request_id=request_id)
        self.reason: RejectReason = reason


class GenerationFailed(ProviderError):
    """
    The vendor accepted the request and the generation failed.

    Attributes:
        retryable: Whether a new attempt may help according to the vendor. The vendor bills a new attempt that succeeds.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        code: str | None = None,
        http_status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, code=code, http_status=http_status, request_id=request_id)
        self.retryable = retryable


class OutcomeUnknown(ProviderError):
    """The request may have been accepted and billed: read timeout, closed connection, 5xx after sending."""


class ProtocolError(ProviderError):
    """The vendor's answer does not decode. After a submit, the outcome counts as unknown."""
