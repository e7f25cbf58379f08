"""
What a provider may raise. The class decides whether a task may be submitted again.

    ProviderError
    ├── NotAccepted          nothing was started; a repeated submit is safe
    │   ├── Unavailable      the vendor could not be reached
    │   ├── RateLimited      too many requests; `retry_after_s` where the vendor says
    │   └── Overloaded       too many generations open, or no capacity
    ├── Rejected             the vendor said no; the same request will be refused again
    ├── GenerationFailed     the vendor accepted, then failed; `retryable` says if a new attempt may help
    ├── OutcomeUnknown       the request may have been accepted; never submitted again by itself
    └── ProtocolError        an answer that does not decode
"""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from polyrelay.http import Answer

RejectReason = Literal["invalid_input", "content_blocked", "auth", "quota", "not_found"]


class ProviderError(Exception):
    """
    A provider could not do what it was asked to.

    Attributes:
        message: One sentence for people, without secrets.
        code: The vendor's own code, such as "50413" or "RateLimitExceeded", or None.
        http_status: Status of the vendor's answer, or None where there was none.
        request_id: The vendor's id of the request, for its support.
        answer: The vendor's answer as it came, where a relay must hand it on.
    """

    answer: "Answer | None" = None

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
        retry_after_s: The vendor's wish for the next try, in seconds, or None.
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
    """The vendor could not be reached, or answered that it did not take the request."""


class RateLimited(NotAccepted):
    """Too many requests in a time."""


class Overloaded(NotAccepted):
    """Too many generations open at once, or the vendor has no capacity."""


class Rejected(ProviderError):
    """
    The vendor said no, and would say no again.

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
        retryable: Whether the vendor says that a new attempt (a new bill on success) may help.
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
    """The request may have been accepted and billed: read timeout, cut connection, 5xx after sending."""


class ProtocolError(ProviderError):
    """The vendor's answer does not decode. After a submit it counts as an unknown outcome."""
