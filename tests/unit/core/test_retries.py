"""The retry policy: laws over all errors, counts, moments and random numbers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.retries import (
    LONGEST_DELAY_S,
    LONGEST_RETRY_AFTER_S,
    MAX_ATTEMPTS,
    MAX_COPIES,
    MAX_DAMAGED_POLLS,
    MAX_GENERATIONS,
    RetryPolicy,
)
from polyrelay import (
    GenerationFailed,
    NotAccepted,
    OutcomeUnknown,
    Overloaded,
    ProtocolError,
    ProviderError,
    RateLimited,
    Rejected,
    Unavailable,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CAP = timedelta(seconds=LONGEST_DELAY_S + LONGEST_RETRY_AFTER_S)
FAR = NOW + timedelta(days=365)

waits = st.none() | st.floats(allow_nan=True, allow_infinity=True)
not_accepted = st.builds(
    lambda kind, wait: kind("x", retry_after_s=wait),
    st.sampled_from([NotAccepted, Unavailable, RateLimited, Overloaded]),
    waits,
)
ambiguous = st.sampled_from([OutcomeUnknown("x"), ProtocolError("x")])
last_words = st.sampled_from(
    [ProviderError("x"), GenerationFailed("x")]
    + [Rejected("x", reason=reason) for reason in ("invalid_input", "content_blocked", "auth", "quota", "not_found")]
)
generation = st.just(GenerationFailed("x", retryable=True))
errors = not_accepted | ambiguous | last_words | generation
counts = st.integers(min_value=1, max_value=10**6)
random_source = st.floats(min_value=0.0, max_value=1.0, exclude_max=True)


def policy(roll: float = 0.5) -> RetryPolicy:
    """A policy whose random source always gives that number."""
    return RetryPolicy(clock=lambda: NOW, random_source=lambda: roll)


def again(error: ProviderError, **given_: Any) -> datetime | None:
    """`RetryPolicy.retry_at` with usual arguments where the test gives none."""
    return policy(given_.pop("roll", 0.5)).retry_at(
        error, **{"attempts": 1, "accepted": 0, "idempotent": False, "now": NOW, "deadline": FAR, **given_}
    )


@given(errors, counts, st.integers(0, 50), st.booleans(), random_source, st.floats(-100.0, 1000.0))
def test_a_retry_is_between_now_and_the_cap(
    error: ProviderError, attempts: int, accepted: int, idempotent: bool, roll: float, left_s: float
) -> None:
    """A next submit is before the deadline, not before now, and not later than the delay and `Retry-After` allow."""
    deadline = NOW + timedelta(seconds=left_s)
    at = again(error, attempts=attempts, accepted=accepted, idempotent=idempotent, roll=roll, deadline=deadline)
    assert at is None or (NOW <= at <= NOW + CAP and at < deadline)


@given(ambiguous | last_words, counts, st.integers(0, 50), random_source)
def test_nothing_ambiguous_and_nothing_refused_is_submitted_again(
    error: ProviderError, attempts: int, accepted: int, roll: float
) -> None:
    """After an unknown outcome or a final rejection there is no next submit, whatever the counts."""
    assert again(error, attempts=attempts, accepted=accepted, roll=roll) is None


@given(ambiguous, st.integers(1, MAX_ATTEMPTS - 1))
def test_an_idempotent_submit_is_repeated(error: ProviderError, attempts: int) -> None:
    """If a repeated submit does nothing at the vendor, the task is submitted again after an unknown outcome."""
    assert again(error, attempts=attempts, idempotent=True) is not None


@given(last_words)
def test_a_final_rejection_is_not_repeated_for_an_idempotent_model(error: ProviderError) -> None:
    """A final rejection is not submitted again, even if the model is idempotent."""
    assert again(error, idempotent=True) is None


@given(not_accepted | ambiguous, st.integers(MAX_ATTEMPTS, 10**6))
def test_attempts_are_limited(error: ProviderError, attempts: int) -> None:
    """No error brings more attempts than allowed."""
    assert again(error, attempts=attempts, idempotent=True) is None


@pytest.mark.parametrize("accepted", range(1, 6))
def test_paid_generations_are_limited(accepted: int) -> None:
    """A generation that failed is started again while fewer than three were accepted."""
    at = again(GenerationFailed("x", retryable=True), accepted=accepted)
    assert (at is not None) is (accepted < MAX_GENERATIONS)


@given(st.floats(0.0, LONGEST_RETRY_AFTER_S), random_source)
def test_the_vendors_poll_interval_is_kept(cancellation_request: float, roll: float) -> None:
    """A next submit is not before the time that the vendor asked for, up to the cap."""
    at = again(RateLimited("x", retry_after_s=cancellation_request), roll=roll)
    assert at is not None
    assert at >= NOW + timedelta(seconds=cancellation_request)


def test_delays_grow_and_stay_below_their_ceiling() -> None:
    """The ceiling of the jitter doubles from one second up to the longest delay."""
    ceilings = []
    for attempts in range(1, 10):
        at = again(Unavailable("x"), attempts=attempts, roll=1.0)
        assert at is not None
        ceilings.append((at - NOW).total_seconds())
    assert ceilings == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@given(errors, counts, random_source)
def test_a_poll_is_between_now_and_the_cap(error: ProviderError, failures: int, roll: float) -> None:
    """A next poll is not before now and not later than the longest delay and `Retry-After` allow."""
    at = policy(roll).poll_again_at(error, failures=failures, now=NOW)
    assert at is None or NOW <= at <= NOW + CAP


@given(not_accepted | st.sampled_from([OutcomeUnknown("x"), Rejected("x", reason="auth")]), counts)
def test_temporary_errors_never_end_a_paid_generation(error: ProviderError, failures: int) -> None:
    """After any number of outages, rate limits, missing responses and refused credentials a poll follows."""
    assert policy().poll_again_at(error, failures=failures, now=NOW) is not None


@pytest.mark.parametrize("failures", [1, MAX_DAMAGED_POLLS - 1, MAX_DAMAGED_POLLS, MAX_DAMAGED_POLLS + 1])
def test_damaged_polls_are_limited(failures: int) -> None:
    """A response that does not decode is polled again up to `MAX_DAMAGED_POLLS` times."""
    at = policy().poll_again_at(ProtocolError("x"), failures=failures, now=NOW)
    assert (at is not None) is (failures < MAX_DAMAGED_POLLS)


@pytest.mark.parametrize(
    "error",
    [GenerationFailed("x", retryable=True), GenerationFailed("x"), Rejected("x"), Rejected("x", reason="not_found")],
)
def test_the_operations_own_end_is_not_polled_again(error: ProviderError) -> None:
    """An error that ends the operation is not polled again."""
    assert policy().poll_again_at(error, failures=1, now=NOW) is None


@given(st.integers(1, 20), random_source)
def test_copies_are_limited(failures: int, roll: float) -> None:
    """A copy is tried `MAX_COPIES` times, never before now."""
    at = policy(roll).copy_again_at(failures=failures, now=NOW)
    assert (at is None) is (failures >= MAX_COPIES)
    assert at is None or NOW <= at <= NOW + CAP
