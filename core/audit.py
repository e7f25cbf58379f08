"""Audit log: one row for every request that changes something, and for every vendor call that may."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from msgspec import Struct


class Action(StrEnum):
    """What a row of the audit log is about."""

    TASK_CREATE = "task.create"
    TASK_CANCEL = "task.cancel"
    TASK_RETRY = "task.retry"
    TASK_DELETE = "task.delete"
    PROVIDER_ENABLE = "provider.enable"
    PROVIDER_DRAIN = "provider.drain"
    PROVIDER_DISABLE = "provider.disable"
    PLUGINS_RELOAD = "plugins.reload"
    KEY_CREATE = "key.create"
    KEY_REVOKE = "key.revoke"
    KEY_ROTATE = "key.rotate"
    KEY_REENCRYPT = "key.reencrypt"
    USER_CREATE = "user.create"
    USER_UPDATE = "user.update"
    USER_DELETE = "user.delete"
    UPSTREAM_SUBMIT = "upstream.submit"
    UPSTREAM_POLL = "upstream.poll"
    UPSTREAM_CANCEL = "upstream.cancel"
    OTHER = "other"


class Outcome(StrEnum):
    """The outcome of the action."""

    BEGUN = "begun"
    """Not known (yet): the action is running, or its process stopped before it reported the outcome."""
    DONE = "done"
    REFUSED = "refused"
    """Nothing was done, because of what was requested."""
    FAILED = "failed"


class AuditRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Who did what, when and from where, and its outcome. A row holds no secrets and no signatures.

    Attributes:
        id: Sorts by time.
        at: When it was written: before the effect. For an `upstream.poll`, when the vendor answered.
        action: What was requested.
        outcome: The outcome.
        error: Our error code, if it failed.
        key_id: The caller's key; in the row of a vendor call, the key that created the task.
        access_key: The public half of that key.
        owner: The owner of that key.
        source: The caller's address, the name of the worker, or `user@host` of a command.
        request_id: The id of the caller's request, as in logs and responses.
        method: HTTP method of that request.
        path: Its path, without the query; or the command.
        target: What was changed: the id of a task, key or user, or the name of a provider.
        provider: The provider of the task, or that was called.
        model: The model of the task or call.
        status: HTTP status: of our response, or of the vendor's where it is known.
        duration_ms: Duration in milliseconds.
        upstream_request_id: The vendor's id of its request.
        detail: What was requested, with secrets removed and long texts cut.
    """

    id: str
    at: datetime
    action: Action
    outcome: Outcome = Outcome.BEGUN
    error: str | None = None
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


class AuditDraft(Struct, kw_only=True):
    """
    The audit row of a create while the task has no id: the API states the request, the use case adds the task.

    Attributes:
        row: What is known of the row; once `is_complete`, the row as it is written.
        body: The request's body as decoded JSON, not yet redacted; None where it is no JSON.
        started_s: `time.perf_counter()` at the start of the request: the row's `duration_ms` counts from there.
        is_complete: Whether the use case has completed the row and begun to write it.
    """

    row: AuditRow
    body: Any
    started_s: float
    is_complete: bool = False


class AuditEnding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    The outcome of what a row describes. The fields are those of `AuditRow`; None leaves the row's value as it is.

    Attributes:
        id: The id of the row.
    """

    id: str
    outcome: Outcome
    error: str | None = None
    target: str | None = None
    status: int | None = None
    duration_ms: float | None = None
    upstream_request_id: str | None = None


class AuditQuery(Struct, frozen=True, kw_only=True):
    """
    Which rows to show, newest first. A field that is None does not filter.

    Attributes:
        since: Only rows written at that moment or later.
        until: Only rows written before.
        limit: Maximum number of rows, 1 to 500.
        after: Only rows older than the one of this id.
    """

    since: datetime | None = None
    until: datetime | None = None
    action: Action | None = None
    outcome: Outcome | None = None
    owner: str | None = None
    key_id: str | None = None
    target: str | None = None
    provider: str | None = None
    request_id: str | None = None
    limit: int = 50
    after: str | None = None


class AuditLog(Protocol):
    """
    The rows of the audit log.

    A row is begun before the effect and ended after it. Its end is written shortly after, together with others. It is
    kept in memory while the database is unavailable, and lost if the process stops meanwhile: a row that stays `begun`
    means that its outcome is not known.
    """

    async def begin(self, row: AuditRow) -> None:
        """
        Store a row before its effect, as durably as a task.

        Raises:
            AuditFailed: The database refused the row; the caller must not act.
            StoreUnavailable: The database is unavailable; the caller must not act.
        """

    def end(self, ending: AuditEnding) -> None:
        """Add the outcome to a row. Never raises: an outcome that cannot be written is logged."""

    def note(self, row: AuditRow) -> None:
        """Add a row for what had no effect of its own. Never raises: a row that cannot be written is logged."""

    async def page(self, query: AuditQuery) -> Sequence[AuditRow]:
        """
        Rows, newest first.

        Raises:
            StoreUnavailable: The database is unavailable, or takes too long to find them.
        """


ROW_ID: Final = r"^audit_[0-9a-f]{28}$"
