"""
What can go wrong inside the server. The API renders each class with its code and HTTP status.

    PolyrelayError
    ├── ConfigurationError      stops the start
    ├── InvalidRequest          the caller's input; carries a detail for each field
    ├── UnknownProvider, UnknownModel, ProviderUnavailable
    ├── TaskNotFound, FileNotFound, DuplicateTask, IdempotencyKeyTaken, TaskTooLarge
    ├── KeyNotFound, DuplicateKey, UserNotFound, EmailTaken
    ├── Unauthenticated         nobody knows who the caller is
    │   └── KeyExpired, KeyRevoked, InvalidSignature, ClockSkew, ReplayedRequest
    ├── Forbidden               it is known, and they may not do that
    ├── NotPossible             the task is not in a state for that
    ├── ComeBackLater           a limit is reached
    │   └── QueueFull, TooManyTasks, TooManyRequests
    ├── Stale                   another writer was first
    ├── AuditFailed             what was to be done cannot be put on the audit log
    └── StoreUnavailable, QueueUnavailable
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from core.rates import RateLimitStatus


class PolyrelayError(Exception):
    """
    Base of the server's own errors; the text is for people and holds no secrets.

    Attributes:
        code: A constant for programs, in snake_case.
    """

    code = "internal_error"


class ConfigurationError(PolyrelayError):
    """A setting, a file or a credential that stops the start."""

    code = "configuration_error"


class FieldProblem(Struct, frozen=True, kw_only=True):
    """
    What is wrong with one field.

    Attributes:
        field: Path of the field, such as "size" or "image_urls[1]".
        message: What is allowed.
        value: What came, cut to a readable length.
    """

    field: str
    message: str
    value: Any = None


class InvalidRequest(PolyrelayError):
    """The caller's input is wrong; `details` names each field."""

    code = "invalid_request"

    def __init__(self, details: Sequence[FieldProblem]) -> None:
        super().__init__("; ".join(f"{problem.field}: {problem.message}" for problem in details))
        self.details = tuple(details)


class UnknownProvider(InvalidRequest):
    """No provider of that name is registered."""

    code = "unknown_provider"


class UnknownModel(InvalidRequest):
    """The provider does not serve that model, or not for this type of task."""

    code = "unknown_model"


class IdempotencyKeyReused(InvalidRequest):
    """The `Idempotency-Key` was used for a request with another body."""

    code = "idempotency_key_reused"


class ProviderUnavailable(PolyrelayError):
    """The provider is registered and cannot take tasks; the text says why."""

    code = "provider_unavailable"


class TaskNotFound(PolyrelayError):
    """There is no task of that id."""

    code = "task_not_found"

    def __init__(self, task_id: str) -> None:
        super().__init__(f"there is no task {task_id!r}")


class FileNotFound(PolyrelayError):
    """There is no stored file of that name."""

    code = "file_not_found"


class KeyNotFound(PolyrelayError):
    """There is no such API key."""

    code = "key_not_found"


class DuplicateKey(PolyrelayError):
    """A key of that id, access key or secret is stored already."""

    code = "duplicate_key"


class UserNotFound(PolyrelayError):
    """There is no such user."""

    code = "user_not_found"


class EmailTaken(PolyrelayError):
    """Another user has that e-mail address."""

    code = "email_taken"


class Unauthenticated(PolyrelayError):
    """The request does not show who makes it, or not with a key that is known here."""

    code = "unauthenticated"


class KeyExpired(Unauthenticated):
    """The key was good until a moment that has passed. Told only to who has its secret."""

    code = "key_expired"


class KeyRevoked(Unauthenticated):
    """The key was taken back. Told only to who has its secret."""

    code = "key_revoked"


class InvalidSignature(Unauthenticated):
    """The request's signature is not one that a key known here makes of that request."""

    code = "invalid_signature"


class ClockSkew(Unauthenticated):
    """The request was signed at a moment too far from now."""

    code = "clock_skew"


class ReplayedRequest(Unauthenticated):
    """A request with that very signature was carried out already."""

    code = "replayed_request"


REPLAYED: Final = "a request with this very signature came before; sign each one anew"
"""What a caller is told who sends one again."""


class Forbidden(PolyrelayError):
    """The key's role does not allow that."""

    code = "forbidden"


class NotPossible(PolyrelayError):
    """The task is not in a state in which that can be done; the text says in which it is."""

    code = "not_possible"


class ComeBackLater(PolyrelayError):
    """
    A limit is reached. Nothing was done, and the same request may pass later.

    Attributes:
        scope: Whose limit it is: "provider" or "key".
        retry_after_s: When to come back, in whole seconds.
    """

    scope = "provider"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QueueFull(ComeBackLater):
    """As many tasks wait for the provider as are allowed to."""

    code = "queue_full"


class TooManyTasks(ComeBackLater):
    """The caller has as many open tasks as its key allows."""

    code = "too_many_tasks"
    scope = "key"


class TooManyRequests(ComeBackLater):
    """
    The caller's key made as many requests in the last minute as it may.

    Attributes:
        allowance: What is left of them: nothing.
    """

    code = "rate_limited"
    scope = "key"

    def __init__(self, message: str, *, rate_limit_status: RateLimitStatus) -> None:
        super().__init__(message, retry_after_s=rate_limit_status.reset_s)
        self.rate_limit_status = rate_limit_status


class DuplicateTask(PolyrelayError):
    """A task of that id is stored already."""

    code = "duplicate_task"


class TaskTooLarge(PolyrelayError):
    """No record can hold the task. The limits on callers' fields are far below that."""

    code = "task_too_large"


class Stale(PolyrelayError):
    """Somebody else wrote first; read again and decide again."""

    code = "conflict"


class IdempotencyKeyTaken(PolyrelayError):
    """A task with that `Idempotency-Key` is stored already; read it."""

    code = "key_taken"


class AuditFailed(PolyrelayError):
    """The audit log does not take the row of what was to be done; so nothing was done."""

    code = "AUDIT_FAILED"  # as clients of the relay that this server replaces know it


class StoreUnavailable(PolyrelayError):
    """MongoDB or the result store cannot be reached."""

    code = "store_unavailable"


class QueueUnavailable(PolyrelayError):
    """Redis cannot be reached."""

    code = "queue_unavailable"
