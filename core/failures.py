"""Failures: provider errors as they are stored, with our codes, which programs may rely on."""

from typing import Final

from core.attempts import Failure
from core.tasks import Task
from polyrelay import (
    GenerationFailed,
    NotAccepted,
    OutcomeUnknown,
    Overloaded,
    ProtocolError,
    ProviderError,
    RateLimited,
    Rejected,
    RejectReason,
    Unavailable,
)

CODES: Final[dict[str, str]] = {
    "provider_unavailable": "The vendor could not be reached, or does not take requests.",
    "rate_limited": "The vendor's rate limit, until the tries or the time ran out.",
    "overloaded": "The vendor's limit on open generations, until the tries or the time ran out.",
    "invalid_input": "The vendor refused the input.",
    "content_blocked": "The vendor's moderation refused the input.",
    "vendor_auth": "The vendor refused the server's credentials, or its account lacks the capability.",
    "vendor_quota": "The vendor's quota or balance is used up.",
    "vendor_not_found": "The vendor does not know the model or the endpoint.",
    "generation_failed": "The vendor accepted the request and failed to generate.",
    "outcome_unknown": "The vendor may have accepted and billed the request; it is not repeated by itself.",
    "protocol_error": "The vendor's answer did not decode.",
    "deadline_exceeded": "The task did not end by its deadline.",
    "result_lost": "The result could not be stored and the vendor's link is gone.",
    "cancelled": "The caller cancelled the task; the message says what the vendor made of it.",
}

_REJECTED: Final[dict[RejectReason, str]] = {
    "invalid_input": "invalid_input",
    "content_blocked": "content_blocked",
    "auth": "vendor_auth",
    "quota": "vendor_quota",
    "not_found": "vendor_not_found",
}


def failure_of(error: ProviderError) -> Failure:
    """What is stored of a provider's error."""
    return Failure(
        code=_code_of(error),
        message=error.message,
        vendor_code=error.code,
        http_status=error.http_status,
        request_id=error.request_id,
    )


def failure_of_submit(error: ProviderError) -> Failure:
    """As `failure_of`, but after a submit a damaged response leaves the outcome unknown, as a missing one does."""
    if isinstance(error, ProtocolError):
        error = OutcomeUnknown(
            f"{error.message}; the vendor may have accepted and billed the request",
            code=error.code,
            http_status=error.http_status,
            request_id=error.request_id,
        )
    return failure_of(error)


def deadline_failure(task: Task) -> Failure:
    """The failure of a task that ended at its deadline, with the last error if there is one."""
    deadline = task.deadline.isoformat(timespec="seconds")
    if not task.attempts:
        return Failure(
            code="deadline_exceeded",
            message=f"the task was not submitted by its deadline, {deadline}: no worker that serves "
            f"{task.provider}/{task.model} was free, its vendor had no room, or an operator switched it off",
        )
    last = task.attempt.failure
    because = f"; last: {last.message}" if last else ""
    return Failure(code="deadline_exceeded", message=f"the task did not end by its deadline, {deadline}{because}")


def _code_of(error: ProviderError) -> str:
    match error:
        case RateLimited():
            return "rate_limited"
        case Overloaded():
            return "overloaded"
        case Unavailable() | NotAccepted():
            return "provider_unavailable"
        case Rejected():
            return _REJECTED.get(error.reason, "invalid_input")  # the reason that a plugin gives is not checked
        case GenerationFailed():
            return "generation_failed"
        case OutcomeUnknown():
            return "outcome_unknown"
        case ProtocolError():
            return "protocol_error"
        case _:
            return "generation_failed"
