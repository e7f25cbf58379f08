"""What leaves a trace: every request that changes something, and every call to a vendor that may."""

import secrets
from datetime import datetime
from typing import Any

from msgspec import Struct


class AuditRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Who did what, when, from where, and what became of it. It holds no secrets and no signatures.

    Attributes:
        id: Sorts by time.
        at: When it was written: before the effect.
        action: Such as "task.create", "key.revoke" or "upstream.submit".
        outcome: "begun" until it is known, then "done", "refused" or "failed".
        key_id: Of the caller's key.
        access_key: The public half of that key.
        owner: Whose key it is.
        source: The caller's address.
        request_id: Of the caller's request, as in logs and answers.
        method: HTTP method of that request.
        path: Its path, without the query.
        target: What was changed: the id of a task, key or user, or the name of a provider.
        provider: Whom it is for, or who was asked.
        model: For which model.
        status: HTTP status: of our answer, or of the vendor's where one was asked.
        duration_ms: How long it took, in milliseconds.
        upstream_request_id: The vendor's id of its request.
        detail: What was asked for, with secrets and long texts cut.
    """

    id: str
    at: datetime
    action: str
    outcome: str = "begun"
    key_id: str | None = None
    access_key: str | None = None
    owner: str | None = None
    source: str | None = None
    request_id: str | None = None
    method: str | None = None
    path: str | None = None
    target: str | None = None
    provider: str | None = None
    model: str | None = None
    status: int | None = None
    duration_ms: float | None = None
    upstream_request_id: str | None = None
    detail: dict[str, Any] | None = None


def new_row_id(now: datetime) -> str:
    """An id that sorts by time: the millisecond, then 64 random bits."""
    return f"audit_{int(now.timestamp() * 1000):012x}{secrets.token_hex(8)}"
