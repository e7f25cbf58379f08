"""The failure of a task that ended at its deadline."""

from datetime import UTC, datetime

from msgspec import structs

from core.attempts import Attempt, Failure
from core.failures import deadline_failure
from core.tasks import Task
from tests.contracts.tasks import a_task

DEADLINE = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def ended_at_deadline(*attempts: Attempt) -> Task:
    """A task with that deadline and those attempts."""
    return structs.replace(a_task(), deadline=DEADLINE, attempts=attempts)


def attempt(failure: Failure | None = None) -> Attempt:
    """An attempt that began before the deadline."""
    return Attempt(number=1, provider="acme", model="acme-1", started=DEADLINE, failure=failure)


def test_a_task_that_was_never_submitted_says_so() -> None:
    """Without an attempt the message names the deadline and the possible reasons."""
    failure = deadline_failure(ended_at_deadline())

    assert failure.code == "deadline_exceeded"
    assert "was not submitted by its deadline, 2026-03-01T12:30:00+00:00" in failure.message


def test_the_last_error_is_part_of_the_message() -> None:
    """After an attempt the message names the deadline and the attempt's last error."""
    failure = deadline_failure(ended_at_deadline(attempt(Failure(code="overloaded", message="the vendor is busy"))))

    assert failure.code == "deadline_exceeded"
    assert "did not end by its deadline, 2026-03-01T12:30:00+00:00" in failure.message
    assert failure.message.endswith("the vendor is busy")


def test_without_an_error_the_message_is_about_the_deadline_only() -> None:
    """An attempt without an error adds nothing to the message."""
    failure = deadline_failure(ended_at_deadline(attempt()))

    assert failure.message == "the task did not end by its deadline, 2026-03-01T12:30:00+00:00"
