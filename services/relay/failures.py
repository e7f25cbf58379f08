"""Failures of tasks in the vendor's codes, for tasks without a vendor's response that could be passed on."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from core.attempts import Failure
from services.relay.responses import (
    ACCESS_DENIED,
    INTERNAL_ERROR,
    NO_SUCH_INTERFACE,
    NOT_FOUND,
    PARAMETER_ERROR,
    RATE_LIMITED,
    TEXT_BLOCKED,
    TOO_MANY_OPEN,
    Business,
)

CODES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "provider_unavailable": INTERNAL_ERROR,
        "rate_limited": RATE_LIMITED,
        "overloaded": TOO_MANY_OPEN,
        "invalid_input": PARAMETER_ERROR,
        "content_blocked": TEXT_BLOCKED,
        "vendor_auth": ACCESS_DENIED,
        "vendor_quota": ACCESS_DENIED,
        "vendor_not_found": NO_SUCH_INTERFACE,
        "generation_failed": INTERNAL_ERROR,
        "outcome_unknown": INTERNAL_ERROR,
        "protocol_error": INTERNAL_ERROR,
        "deadline_exceeded": INTERNAL_ERROR,
        "result_lost": INTERNAL_ERROR,
        "cancelled": INTERNAL_ERROR,
    }
)
"""The vendor's code for each of our failure codes, where the vendor's own code is not stored."""

NEVER_TAKEN: Final = frozenset({"provider_unavailable", "rate_limited", "overloaded", "deadline_exceeded"})
"""Failures before the vendor accepted anything: a query returns `expired`, which means "submit it again"."""

EXPIRED: Final = Business(data={"status": "expired"})


def submit_failure(failure: Failure) -> Business:
    """The response to a submit whose task failed."""
    if failure.code in {"outcome_unknown", "protocol_error"}:  # the message warns that it may be billed
        return Business(code=INTERNAL_ERROR, message=failure.message)
    code = failure.vendor_code or ""
    if code.isascii() and code.isdecimal() and len(code) < 10:
        return Business(code=int(code), message=failure.message, status=failure.http_status)
    return Business(code=CODES.get(failure.code, INTERNAL_ERROR), message=failure.message)


def query_failure(failure: Failure) -> Business:
    """The response to a query for a failed task that the vendor does not know (any more)."""
    if failure.code == "cancelled":
        return NOT_FOUND
    if failure.code in NEVER_TAKEN:
        return EXPIRED
    return submit_failure(failure)
