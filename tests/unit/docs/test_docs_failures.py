"""The tables of vendor failures are compared with the functions that decide."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, get_args

import pytest

from core.failures import failure_of, failure_of_submit
from core.retries import MAX_ATTEMPTS, MAX_DAMAGED_POLLS, MAX_GENERATIONS, RetryPolicy, takes_nothing
from polyrelay import (
    GenerationFailed,
    OutcomeUnknown,
    Overloaded,
    ProtocolError,
    ProviderError,
    RateLimited,
    Rejected,
    RejectReason,
    Unavailable,
)
from services.limits.admission import vendor_status_of

LIFE: Final = "docs/explanation/task-life.md"
GATES: Final = "docs/explanation/gates.md"
NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
FAR: Final = NOW + timedelta(days=1)
Tables = Callable[[str], list[list[str]]]

FAILURES: Final[dict[str, ProviderError]] = {
    "`Unavailable`": Unavailable("gone"),
    "`RateLimited`": RateLimited("too fast"),
    "`Overloaded`": Overloaded("too many"),
    **{f"`Rejected`, {reason}": Rejected("no", reason=reason) for reason in get_args(RejectReason)},
    "`GenerationFailed`, retryable": GenerationFailed("failed", retryable=True),
    "`GenerationFailed`": GenerationFailed("failed"),
    "`OutcomeUnknown`": OutcomeUnknown("no response"),
    "`ProtocolError`": ProtocolError("not JSON"),
}


POLICY: Final = RetryPolicy(clock=lambda: NOW, random_source=lambda: 0.5)


def submitted_again(error: ProviderError, *, idempotent: bool = False) -> bool:
    """Whether a first attempt that failed so is followed by another."""
    again_at = POLICY.retry_at(error, attempts=1, accepted=1, idempotent=idempotent, now=NOW, deadline=FAR)
    return again_at is not None


def after_a_poll(error: ProviderError) -> str:
    """What the page says about a poll that failed so."""
    if POLICY.poll_again_at(error, failures=1, now=NOW) is None:
        return "a new attempt, until three were accepted" if submitted_again(error) else "failed"
    if POLICY.poll_again_at(error, failures=MAX_DAMAGED_POLLS, now=NOW) is None:
        return f"polled again, {MAX_DAMAGED_POLLS} in a row end it"
    return "polled again until the deadline"


@pytest.fixture
def after_a_submit(rows: Tables) -> dict[str, list[str]]:
    """The table of submits."""
    return {row[0]: row[1:] for row in rows(LIFE) if len(row) == 4}


def test_each_failure_has_one_row(after_a_submit: dict[str, list[str]], rows: Tables) -> None:
    """Both tables have every class of the contract, and every reason of a refusal."""
    polls = [row[0] for row in rows(LIFE) if len(row) == 2 and row[0] in FAILURES]

    assert set(after_a_submit) == set(FAILURES)
    assert sorted(polls) == sorted(FAILURES)


@pytest.mark.parametrize("name", FAILURES)
def test_what_follows_a_submit_is_what_is_decided(name: str, after_a_submit: dict[str, list[str]]) -> None:
    """Stored code, another attempt, another choice."""
    error = FAILURES[name]
    decided = [
        f"`{failure_of_submit(error).code}`",
        "yes" if submitted_again(error) else "no",
        "yes" if takes_nothing(error) else "no",
    ]

    assert after_a_submit[name] == decided


@pytest.mark.parametrize("name", FAILURES)
def test_what_follows_a_poll_is_what_is_decided(name: str, rows: Tables) -> None:
    """Polled again, another attempt, or the end."""
    says = {row[0]: row[1] for row in rows(LIFE) if len(row) == 2}

    assert says[name] == after_a_poll(FAILURES[name])


@pytest.mark.parametrize("name", FAILURES)
def test_the_vendor_status_of_a_failure_is_that_of_the_page(name: str, rows: Tables) -> None:
    """The page about gates names the vendor status of each failure."""
    says = {kind: row[1] for row in rows(GATES) if len(row) == 3 for kind in row[0].split("; ")}

    assert says[name.partition(",")[0]] == f"`{vendor_status_of(FAILURES[name]).value}`"


def test_only_idempotent_submits_are_repeated_after_an_unknown_outcome() -> None:
    """As the text beside the table says, and up to the same number of attempts."""
    for name in ("`OutcomeUnknown`", "`ProtocolError`"):
        assert not submitted_again(FAILURES[name])
        assert submitted_again(FAILURES[name], idempotent=True)
    assert (MAX_ATTEMPTS, MAX_GENERATIONS) == (25, 3), "the numbers of the text"


def test_a_poll_keeps_the_errors_own_code() -> None:
    """A response that does not decode is an unknown outcome after a submit, and `protocol_error` after a poll."""
    assert failure_of(FAILURES["`ProtocolError`"]).code == "protocol_error"
