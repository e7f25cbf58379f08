"""Attempts: submissions of a task to a vendor, with the vendor's response and the failure."""

from datetime import datetime

from msgspec import Struct


class Failure(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Why an attempt or a task failed.

    Attributes:
        code: A code of this server, a constant for programs: see `core.failures`.
        message: One sentence for people.
        vendor_code: The vendor's own code.
        http_status: HTTP status of the vendor's response.
        request_id: The vendor's id of the request, for the vendor's support.
    """

    code: str
    message: str
    vendor_code: str | None = None
    http_status: int | None = None
    request_id: str | None = None


class VendorAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A vendor's response, unchanged, stored for a caller that uses the vendor's own API.

    Attributes:
        status: HTTP status.
        media_type: Its Content-Type.
        body: Its bytes, if the response is small.
        file: Name of the file in the result store, if it is large.
    """

    status: int
    media_type: str | None = None
    body: bytes | None = None
    file: str | None = None


class Attempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One submission to a vendor.

    Attributes:
        number: 1 for the first attempt of the task.
        provider: Provider that was called.
        model: Model that was called.
        started: When the submit started; stored before the vendor is called.
        accepted: When the vendor returned an operation.
        ended: When the outcome was known, or was known to stay unknown.
        operation: The vendor's id of the generation.
        poll_failures: Failed polls since the last successful one.
        unknown_statuses: Polls that returned a status which the vendor does not document.
        copy_failures: Failed copies of its results.
        failure: Why the attempt failed.
        answer: The vendor's response to the submit, for a task that a relay call created.
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
