"""Retry policy: when to submit, poll or copy again, by the error, the count, the clock and a random source."""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from core.clock import Clock, RandomSource
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


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """
    When to try again, by a clock and a random source.

    Attributes:
        clock: Now.
        random_source: For the jitter.
    """

    clock: Clock
    random_source: RandomSource

    def retry_at(
        self,
        error: ProviderError,
        *,
        attempts: int,
        accepted: int,
        idempotent: bool,
        now: datetime,
        deadline: datetime,
    ) -> datetime | None:
        """
        When to submit again after a failed attempt, or None if that is not safe, not useful or too late.

        Args:
            error: What the provider raised.
            attempts: Attempts so far, this one included.
            accepted: How many of them the vendor accepted, this one included: each may have been billed.
            idempotent: The vendor guarantees that a repeated submit does nothing.
            now: The clock.
            deadline: When the task ends at the latest.
        """
        match error:
            case NotAccepted() if attempts < MAX_ATTEMPTS:
                return _before(deadline, now + self._delay(attempts, error.retry_after_s))
            case OutcomeUnknown() | ProtocolError() if idempotent and attempts < MAX_ATTEMPTS:
                return _before(deadline, now + self._delay(attempts, None))
            case GenerationFailed(retryable=True) if accepted < MAX_GENERATIONS:
                return _before(deadline, now + self._delay(accepted, None))
            case _:
                return None

    def poll_again_at(self, error: ProviderError, *, failures: int, now: datetime) -> datetime | None:
        """
        When to poll again after a poll without a response, or None if the error ends the operation.

        A paid generation is at stake. An unavailable vendor, a rate limit and refused credentials may be temporary, so
        the operation is polled until the deadline. After `MAX_DAMAGED_POLLS` damaged responses in a row it ends.

        Args:
            error: What the provider raised.
            failures: Polls without a response since the last good one, this one included.
            now: The clock.
        """
        match error:
            case NotAccepted():
                return now + self._delay(failures, error.retry_after_s)
            case OutcomeUnknown() | Rejected(reason="auth" | "quota"):
                return now + self._delay(failures, None)
            case ProtocolError() if failures < MAX_DAMAGED_POLLS:
                return now + self._delay(failures, None)
            case _:
                return None

    def copy_again_at(self, *, failures: int, now: datetime) -> datetime | None:
        """When to copy a result again after `failures` copies failed, or None if the vendor's link is the result."""
        return now + self._delay(failures, None) if failures < MAX_COPIES else None

    def _delay(self, failures: int, retry_after_s: float | None) -> timedelta:
        """Full jitter below an exponential ceiling, plus what the vendor asks for, up to a cap."""
        ceiling = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(failures - 1, 16))
        asked = min(LONGEST_RETRY_AFTER_S, max(0.0, retry_after_s or 0.0))  # in this order a NaN counts as 0
        return timedelta(seconds=asked + self.random_source() * ceiling)


def takes_nothing(error: ProviderError) -> bool:
    """Whether it is certain that the vendor did not accept and another may: the next fallback is then asked."""
    match error:
        case NotAccepted() | Rejected(reason="auth" | "quota" | "not_found"):
            return True
        case _:
            return False


def poll_interval(pending: Pending) -> timedelta:
    """How long to wait before the next poll: what the provider asks for, within the limits above."""
    return timedelta(seconds=min(SLOWEST_POLL_S, max(FASTEST_POLL_S, pending.poll_after_s)))  # in this order for NaN


def until_deadline(moment: datetime, *, deadline: datetime, now: datetime) -> datetime:
    """`moment`, but not after the deadline, so that the task ends on time, and not before now."""
    return max(now, min(moment, deadline))


def _before(deadline: datetime, moment: datetime) -> datetime | None:
    return moment if moment < deadline else None
