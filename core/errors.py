"""
Errors of the server. The API renders each class with its code and HTTP status.

    PolyrelayError
    ├── ConfigurationError      stops the start
    ├── InvalidRequest          the caller's input; carries a detail for each field
    ├── UnknownProvider, UnknownModel, ProviderUnavailable
    ├── TaskNotFound, FileNotFound, DuplicateTask, IdempotencyKeyTaken, TaskTooLarge
    ├── KeyNotFound, DuplicateKey, UserNotFound, EmailTaken
    ├── Unauthenticated         the caller is not known
    │   └── KeyExpired, KeyRevoked, InvalidSignature, ClockSkew, ReplayedRequest
    ├── Forbidden               the caller is known and has no permission
    ├── NotPossible             the state of the task does not allow it
    ├── ComeBackLater           a limit is reached
    │   └── QueueFull, TooManyTasks, TooManyRequests
    ├── Stale                   a concurrent write came first
    ├── AuditFailed             the audit row could not be stored
    └── StoreUnavailable, QueueUnavailable
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from core.rates import RateLimitStatus


class PolyrelayError(Exception):
    """
    Base of the server's errors. The text is for people and contains no secrets.

    Attributes:
        code: A constant for programs, in snake_case.
    """

    code = "internal_error"


class ConfigurationError(PolyrelayError):
    """A setting, file or credential is not valid; the process does not start."""

    code = "configuration_error"


class FieldProblem(Struct, frozen=True, kw_only=True):
    """
    A problem with one field of a request.

    Attributes:
        field: Path of the field, such as "size" or "image_urls[1]".
        message: The values that are allowed.
        value: The value in the request, cut to a readable length.
    """

    field: str
    message: str
    value: Any = None


class InvalidRequest(PolyrelayError):
    """The caller's input is not valid; `details` names each field."""

    code = "invalid_request"

    def __init__(self, details: Sequence[FieldProblem]) -> None:
        super().__init__("; ".join(f"{problem.field}: {problem.message}" for problem in details))
        self.details = tuple(details)


class UnknownProvider(InvalidRequest):
    """No provider with this name is registered."""

    code = "unknown_provider"


class UnknownModel(InvalidRequest):
    """The provider does not serve this model, or not for this type of task."""

    code = "unknown_model"


class IdempotencyKeyReused(InvalidRequest):
    """The `Idempotency-Key` was used before, for a request with another body."""

    code = "idempotency_key_reused"


class ProviderUnavailable(PolyrelayError):
    """The provider is registered but cannot take tasks; the text says why."""

    code = "provider_unavailable"


class TaskNotFound(PolyrelayError):
    """There is no task with this id."""

    code = "task_not_found"

    def __init__(self, task_id: str) -> None:
        super().__init__(f"there is no task {task_id!r}")


class FileNotFound(PolyrelayError):
    """There is no stored file with this name."""

    code = "file_not_found"


class KeyNotFound(PolyrelayError):
    """There is no API key with this id or access key."""

    code = "key_not_found"


class DuplicateKey(PolyrelayError):
    """An API key with this id, access key or secret is stored already."""

    code = "duplicate_key"


class UserNotFound(PolyrelayError):
    """There is no user with this id."""

    code = "user_not_found"


class EmailTaken(PolyrelayError):
    """Another user has this e-mail address."""

    code = "email_taken"


class Unauthenticated(PolyrelayError):
    """The request has no credentials, or none of a known API key."""

    code = "unauthenticated"


class KeyExpired(Unauthenticated):
    """The API key has expired. Reported only to callers that have its secret."""

    code = "key_expired"


class KeyRevoked(Unauthenticated):
    """The API key was revoked. Reported only to callers that have its secret."""

    code = "key_revoked"


class InvalidSignature(Unauthenticated):
    """The signature of the request does not match the request and a known API key."""

    code = "invalid_signature"


class ClockSkew(Unauthenticated):
    """The time in the signature differs too much from the current time."""

    code = "clock_skew"


class ReplayedRequest(Unauthenticated):
    """A request with the same signature was carried out already."""

    code = "replayed_request"


REPLAYED: Final = "a request with the same signature was received before; sign each request anew"
"""Message of `ReplayedRequest`."""


class Forbidden(PolyrelayError):
    """The role of the API key does not allow the request."""

    code = "forbidden"


class NotPossible(PolyrelayError):
    """The state of the task does not allow the action; the text names the state."""

    code = "not_possible"


class ComeBackLater(PolyrelayError):
    """
    A limit is reached. Nothing was done; the same request may succeed later.

    Attributes:
        scope: Whose limit it is: "provider" or "key".
        retry_after_s: Seconds after which to repeat the request, a whole number.
    """

    scope = "provider"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QueueFull(ComeBackLater):
    """The wait queue of the provider is full."""

    code = "queue_full"


class TooManyTasks(ComeBackLater):
    """The API key has reached its limit on open tasks."""

    code = "too_many_tasks"
    scope = "key"


class TooManyRequests(ComeBackLater):
    """
    The API key has reached its rate limit.

    Attributes:
        rate_limit_status: Limit of the key, with no requests remaining.
    """

    code = "rate_limited"
    scope = "key"

    def __init__(self, message: str, *, rate_limit_status: RateLimitStatus) -> None:
        super().__init__(message, retry_after_s=rate_limit_status.reset_s)
        self.rate_limit_status = rate_limit_status


class DuplicateTask(PolyrelayError):
    """A task with this id is stored already."""

    code = "duplicate_task"


class TaskTooLarge(PolyrelayError):
    """The task is larger than the largest MongoDB document. The limits on callers' fields are far below that."""

    code = "task_too_large"


class Stale(PolyrelayError):
    """A concurrent write came first; read again and decide again."""

    code = "conflict"


class IdempotencyKeyTaken(PolyrelayError):
    """A task with this `Idempotency-Key` is stored already; read that task."""

    code = "key_taken"


class AuditFailed(PolyrelayError):
    """The audit row of an action could not be stored, so the action was not carried out."""

    code = "AUDIT_FAILED"  # as clients of the relay that this server replaces know it


class StoreUnavailable(PolyrelayError):
    """MongoDB or the result store is unavailable."""

    code = "store_unavailable"


class QueueUnavailable(PolyrelayError):
    """Redis is unavailable."""

    code = "queue_unavailable"
