"""
Responses of the relay: the vendor's own as received, or this server's in the vendor's two shapes.

Source of the codes: the vendor's error tables docs/6369/68677 (gateway) and docs/6444/69728 (visual), and the tables of
the Jimeng pages, in copies read on 2026-11-22.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from msgspec import Struct

SUCCESS: Final = 10000
PARAMETER_ERROR: Final = 50200
MISSING_PARAMETER: Final = 50201
WRONG_TYPE: Final = 50204
BODY_TOO_LARGE: Final = 50213
ACCESS_DENIED: Final = 50400
NO_SUCH_INTERFACE: Final = 50402
TEXT_BLOCKED: Final = 50412
RATE_LIMITED: Final = 50429
TOO_MANY_OPEN: Final = 50430
INTERNAL_ERROR: Final = 50500

STATUSES: Final[Mapping[int, tuple[int, str]]] = MappingProxyType(
    {
        SUCCESS: (200, "Success"),
        PARAMETER_ERROR: (400, "Parameter Error"),
        MISSING_PARAMETER: (400, "Missing Parameter"),
        WRONG_TYPE: (400, "Parameter Type Error"),
        BODY_TOO_LARGE: (400, "Request Body Too Large"),
        ACCESS_DENIED: (400, "Access Denied"),
        NO_SUCH_INTERFACE: (400, "No Such Interface"),
        TEXT_BLOCKED: (400, "Text Risk Not Pass"),
        RATE_LIMITED: (429, "Request Has Reached API Limit, Please Try Later"),
        TOO_MANY_OPEN: (429, "Request Has Reached API Concurrent Limit, Please Try Later"),
        INTERNAL_ERROR: (500, "Internal Error"),
    }
)
"""HTTP status and text of the business codes that this server sends itself."""

GATEWAY: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "MissingParameter": (400, 100002),
        "MissingAuthenticationToken": (401, 100003),
        "InvalidTimestamp": (400, 100006),
        "InvalidActionOrVersion": (404, 100008),
        "InvalidAccessKey": (401, 100009),
        "SignatureDoesNotMatch": (401, 100010),
        "AccessDenied": (403, 100013),
        "InternalError": (500, 100014),
    }
)
"""HTTP status and number of the gateway's codes that this server sends itself."""


class Business(Struct, frozen=True, kw_only=True):
    """
    The envelope of the service.

    Attributes:
        code: One of `STATUSES`, or the vendor's.
        message: Added to the text of the code; alone where the code is not in `STATUSES`.
        data: None in errors.
        status: HTTP status, if it is not the one of the code.
        retry_after_s: When to try again, in whole seconds.
    """

    code: int = SUCCESS
    message: str = ""
    data: Mapping[str, Any] | None = None
    status: int | None = None
    retry_after_s: int | None = None

    @property
    def http_status(self) -> int:
        """The HTTP status of the response."""
        return self.status or STATUSES.get(self.code, (400, ""))[0]

    @property
    def text(self) -> str:
        """The `message` of the envelope."""
        return ": ".join(filter(None, (STATUSES.get(self.code, (0, ""))[1], self.message)))


class Gateway(Struct, frozen=True, kw_only=True):
    """
    The envelope of the signing gateway.

    Attributes:
        code: One of `GATEWAY`.
        message: For people.
    """

    code: str
    message: str


class VendorResponse(Struct, frozen=True, kw_only=True):
    """
    The vendor's response.

    Attributes:
        status: HTTP status.
        media_type: Its Content-Type.
        body: Its bytes; the task id in it is ours.
        retry_after: Its header of that name.
    """

    status: int
    media_type: str | None
    body: bytes
    retry_after: str | None = None


RelayAnswer: TypeAlias = Business | Gateway | VendorResponse


class RelayCallRefused(Exception):
    """A call cannot be served; `answer` is the response to it."""

    def __init__(self, answer: RelayAnswer) -> None:
        super().__init__(str(answer))
        self.answer = answer


NOT_FOUND: Final = Business(data={"status": "not_found"})
"""The vendor's response for a task that it does not know."""
