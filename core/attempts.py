"""Attempts: one submission of a task to a vendor, what the vendor answered, and why it failed."""

from datetime import datetime

from msgspec import Struct


class Failure(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Why an attempt or a task failed.

    Attributes:
        code: Ours, a constant for programs: see `core.failures`.
        message: One sentence for people.
        vendor_code: The vendor's own code.
        http_status: HTTP status of the vendor's answer.
        request_id: The vendor's id of the request, for its support.
    """

    code: str
    message: str
    vendor_code: str | None = None
    http_status: int | None = None
    request_id: str | None = None


class VendorAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A vendor's answer as it came, kept for a caller who speaks the vendor's own API.

    Attributes:
        status: HTTP status.
        media_type: Its Content-Type.
        body: Its bytes, where they are few.
        file: Name in the result store, where they are many.
    """

    status: int
    media_type: str | None = None
    body: bytes | None = None
    file: str | None = None


class Attempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One submission to a vendor.

    Attributes:
        number: 1 for the first.
        provider: Who was asked.
        model: For which model.
        started: Stored before the vendor is called.
        accepted: When the vendor gave an operation.
        ended: When its outcome was known, or known to be unknown.
        operation: The vendor's handle.
        poll_failures: Polls without an answer since the last good one.
        unknown_statuses: Polls whose answer was a status that the vendor's pages do not name.
        copy_failures: Tries to copy its results that failed.
        failure: Why it failed.
        answer: What the vendor answered to it, where the task came by a relay.
    """

    number: int
    provider: str
    model: str
    started: datetime
    accepted: datetime | None = None
    ended: datetime | None = None
    operation: str | None = None
    poll_failures: int = 0
    unknown_statuses: int = 0
    copy_failures: int = 0
    failure: Failure | None = None
    answer: VendorAnswer | None = None
