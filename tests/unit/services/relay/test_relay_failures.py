"""Our failures in the vendor's words."""

import pytest

from core.attempts import Failure
from core.failures import CODES as OURS
from services.relay.failures import CODES, EXPIRED, NEVER_TAKEN, query_failure, submit_failure
from services.relay.responses import NOT_FOUND, STATUSES


def test_every_failure_has_a_code_of_the_vendors() -> None:
    """None is forgotten, and each code has its status and words."""
    assert set(CODES) == set(OURS)
    assert set(CODES.values()) <= set(STATUSES)


def test_the_vendors_own_code_is_reported() -> None:
    """Where the vendor said why, its code and status count."""
    failure = Failure(code="content_blocked", message="no", vendor_code="50413", http_status=400)

    answer = submit_failure(failure)

    assert (answer.code, answer.http_status, answer.text) == (50413, 400, "no")


@pytest.mark.parametrize("code", ["InvalidAccessKey", "", "٥", "1" * 30])
def test_a_code_that_is_no_business_code_is_translated(code: str) -> None:
    """The envelope's code is a number."""
    assert submit_failure(Failure(code="vendor_auth", message="no", vendor_code=code)).code == 50400


def test_an_unknown_outcome_is_an_internal_error_that_warns_of_billing() -> None:
    """Whatever the vendor's code was: a program must not take it for a refusal."""
    failure = Failure(code="outcome_unknown", message="it may have accepted and billed it", vendor_code="50429")

    answer = submit_failure(failure)

    assert (answer.code, answer.http_status) == (50500, 500)
    assert "may have accepted and billed" in answer.text


@pytest.mark.parametrize("code", sorted(NEVER_TAKEN))
def test_what_the_vendor_never_took_is_expired(code: str) -> None:
    """A query returns `expired`, which means "submit it again" and is safe."""
    assert query_failure(Failure(code=code, message="no")) == EXPIRED


def test_a_cancelled_task_is_not_found() -> None:
    """As at the vendor after its own cancel."""
    assert query_failure(Failure(code="cancelled", message="no")) == NOT_FOUND


def test_other_failures_are_reported_to_queries_as_to_submits() -> None:
    """The outer code says it."""
    failure = Failure(code="result_lost", message="gone")
    assert query_failure(failure) == submit_failure(failure)
