"""What leaves a trace: every request that changes something, and every call to a vendor that may."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from msgspec import Struct


class Action(StrEnum):
    """What can be on record."""

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
    """What became of it."""

    BEGUN = "begun"
    """Not known (yet): it is under way, or what did it ended before it could tell."""
    DONE = "done"
    REFUSED = "refused"
    """Nothing was done, and the fault is with what was asked for."""
    FAILED = "failed"


class AuditRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Who did what, when, from where, and what became of it. It holds no secrets and no signatures.

    Attributes:
        id: Sorts by time.
        at: When it was written: before the effect. Of an `upstream.poll`, when it was answered.
        action: What was asked for.
        outcome: What became of it.
        error: Our code of what went wrong.
        key_id: Of the caller's key; in the row of a call to a vendor, of the task's.
        access_key: The public half of that key.
        owner: Whose key it is.
        source: The caller's address, the name of the worker, or who ran a command where.
        request_id: Of the caller's request, as in logs and answers.
        method: HTTP method of that request.
        path: Its path, without the query; or the command.
        target: What was changed: the id of a task, key or user, or the name of a provider.
        provider: Whom it is for, or who was asked.
        model: For which model.
        status: HTTP status: of our answer, or of the vendor's where it is known.
        duration_ms: How long it took, in milliseconds.
        upstream_request_id: The vendor's id of its request.
        detail: What was asked for, with secrets and long texts cut.
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


class AuditEnding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    What became of what a row says. The fields are those of `AuditRow`; one that is None leaves the row's as it is.

    Attributes:
        id: Of the row.
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
        limit: At most so many, 1 to 500.
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
    Rows about what was done.

    A row is begun before the effect and ended after it. Its end is written soon, with others, and survives a database
    that is away for a while, but not the process: a row that stays begun says that its outcome is not known.
    """

    async def begin(self, row: AuditRow) -> None:
        """
        Put on record what is about to be done, as durably as a task.

        Raises:
            AuditFailed: The database does not take the row; nothing may be done.
            StoreUnavailable: It cannot be reached; nothing may be done.
        """

    def end(self, ending: AuditEnding) -> None:
        """Tell what became of it. Never raises: one that cannot be written is logged."""

    def note(self, row: AuditRow) -> None:
        """Put on record what had no effect of its own. Never raises: one that cannot be written is logged."""

    async def page(self, query: AuditQuery) -> Sequence[AuditRow]:
        """
        Rows, newest first.

        Raises:
            StoreUnavailable: The database cannot be reached, or takes too long to find them.
        """


ROW_ID: Final = r"^audit_[0-9a-f]{28}$"
