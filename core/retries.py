"""When to try again: pure functions of the error, the count, the clock and the dice."""

from datetime import datetime, timedelta
from typing import Final

from core.clock import RandomSource
from polyrelay import (
    GenerationFailed,
    NotAccepted,
    OutcomeUnknown,
    Pending,
    ProtocolError,
    ProviderError,
    Rejected,
)

FIRST_DELAY_S: Final = 1.0
LONGEST_DELAY_S: Final = 60.0
LONGEST_RETRY_AFTER_S: Final = 120.0
MAX_ATTEMPTS: Final = 25
MAX_GENERATIONS: Final = 3
MAX_DAMAGED_POLLS: Final = 10
FASTEST_POLL_S: Final = 0.05
SLOWEST_POLL_S: Final = 300.0
MAX_COPIES: Final = 6


def retry_at(
    error: ProviderError,
    *,
    attempts: int,
    accepted: int,
    idempotent: bool,
    now: datetime,
    deadline: datetime,
    random_source: RandomSource,
) -> datetime | None:
    """
    When to submit again after a failed attempt, or None where that is not safe, not useful or too late.

    Args:
        error: What the provider raised.
        attempts: Attempts so far, this one included.
        accepted: How many of them the vendor accepted, this one included: each may have been billed.
        idempotent: The vendor guarantees that a repeated submit does nothing.
        now: The clock.
        deadline: When the task ends at the latest.
        dice: For the jitter.
    """
    match error:
        case NotAccepted() if attempts < MAX_ATTEMPTS:
            return _before(deadline, now + _delay(attempts, error.retry_after_s, random_source))
        case OutcomeUnknown() | ProtocolError() if idempotent and attempts < MAX_ATTEMPTS:
            return _before(deadline, now + _delay(attempts, None, random_source))
        case GenerationFailed(retryable=True) if accepted < MAX_GENERATIONS:
            return _before(deadline, now + _delay(accepted, None, random_source))
        case _:
            return None


def takes_nothing(error: ProviderError) -> bool:
    """Whether it is certain that this vendor did not accept, and that another one may: fallbacks are then asked."""
    match error:
        case NotAccepted() | Rejected(reason="auth" | "quota" | "not_found"):
            return True
        case _:
            return False


def poll_again_at(
    error: ProviderError, *, failures: int, now: datetime, random_source: RandomSource
) -> datetime | None:
    """
    When to poll again after a poll without an answer, or None where the error is the operation's own end.

    A paid generation is at stake, so whatever may pass is waited out until the deadline: an unreachable vendor, a rate
    limit, refused credentials. A damaged answer is asked for again `MAX_DAMAGED_POLLS` times.

    Args:
        failures: Polls without an answer since the last good one, this one included.
    """
    match error:
        case NotAccepted():
            return now + _delay(failures, error.retry_after_s, random_source)
        case OutcomeUnknown() | Rejected(reason="auth" | "quota"):
            return now + _delay(failures, None, random_source)
        case ProtocolError() if failures < MAX_DAMAGED_POLLS:
            return now + _delay(failures, None, random_source)
        case _:
            return None


def _delay(failures: int, retry_after_s: float | None, random_source: RandomSource) -> timedelta:
    """Full jitter over an exponential ceiling; never less than what the vendor asks for, up to a cap."""
    ceiling = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(failures - 1, 16))
    asked = min(LONGEST_RETRY_AFTER_S, max(0.0, retry_after_s or 0.0))  # in this order a NaN counts as 0
    return timedelta(seconds=asked + random_source() * ceiling)


def _before(deadline: datetime, moment: datetime) -> datetime | None:
    return moment if moment < deadline else None


def poll_interval(pending: Pending) -> timedelta:
    """How long to wait for the next poll: what the provider asks for, within bounds."""
    return timedelta(seconds=min(SLOWEST_POLL_S, max(FASTEST_POLL_S, pending.poll_after_s)))  # in this order for NaN


def until_deadline(moment: datetime, *, deadline: datetime, now: datetime) -> datetime:
    """Not after the deadline, so that the task ends on time, and not before now."""
    return max(now, min(moment, deadline))


def copy_again_at(*, failures: int, now: datetime, random_source: RandomSource) -> datetime | None:
    """When to try again to copy a result after `failures` tries, or None where the vendor's link must do."""
    return now + _delay(failures, None, random_source) if failures < MAX_COPIES else None
