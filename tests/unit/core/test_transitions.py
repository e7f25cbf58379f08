"""Transitions of tasks."""

from datetime import UTC, datetime, timedelta

import pytest

from core import transitions
from core.attempts import Failure
from core.task_states import IllegalMove, State
from core.tasks import Choice, Result, Task
from polyrelay import Pending, TaskType, Usage

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=9)
BROKEN = Failure(code="generation_failed", message="broke")
LINK = (Result(type=TaskType.IMAGE, url="https://vendor.test/1"),)


def new() -> Task:
    """A pending task."""
    return Task(
        id="task_1",
        type=TaskType.IMAGE,
        provider="p",
        model="m",
        user_id="u",
        created=NOW,
        updated=NOW,
        deadline=NOW + timedelta(hours=1),
        wake_at=NOW,
        fallbacks=(Choice(provider="p2", model="m2"),),
    )


def begun(task: Task | None = None) -> Task:
    """A task whose attempt began."""
    return transitions.begun(task or new(), choice=1, owner="w", lease_s=30.0, now=NOW)


def waiting() -> Task:
    """A task that the vendor accepted."""
    return transitions.accepted(begun(), Pending(operation="op", progress=0.4), poll_at=LATER, now=NOW)


def test_an_attempt_begins_under_a_lease() -> None:
    """A begun attempt has a number, its provider and model, and a lease; the task is woken when the lease expires."""
    task = begun()
    assert (task.state, task.attempt.number, task.attempt.provider, task.attempt.model) == (
        State.SUBMITTING,
        1,
        "p2",
        "m2",
    )
    assert task.lease is not None
    assert task.lease.until == task.wake_at == NOW + timedelta(seconds=30)


def test_an_accepted_attempt_waits_without_a_lease() -> None:
    """The operation belongs to the attempt; the task has no lease until its poll is due."""
    task = waiting()
    assert (task.state, task.attempt.operation, task.attempt.accepted) == (State.WAITING, "op", NOW)
    assert (task.lease, task.wake_at, task.progress) == (None, LATER, 0.4)


def test_a_failed_poll_is_counted_and_a_successful_one_resets_the_count() -> None:
    """Failed polls are counted with their reason until a good one."""
    missed = transitions.poll_failed(
        transitions.poll_failed(waiting(), BROKEN, poll_at=LATER, now=NOW), BROKEN, poll_at=NOW, now=NOW
    )
    assert (missed.attempt.poll_failures, missed.attempt.failure, missed.wake_at) == (2, BROKEN, NOW)

    good = transitions.polled(missed, Pending(operation="op"), poll_at=LATER, now=NOW)
    assert (good.attempt.poll_failures, good.attempt.failure) == (0, None)


def test_an_unknown_status_is_kept_and_counted() -> None:
    """The unknown status is shown until a known one arrives; the count stays."""
    strange = Pending(operation="op", unknown_status="paused")
    twice = transitions.polled(
        transitions.polled(waiting(), strange, poll_at=LATER, now=NOW), strange, poll_at=LATER, now=NOW
    )
    assert twice.attempt.unknown_statuses == 2
    assert twice.attempt.failure is not None
    assert "'paused'" in twice.attempt.failure.message

    good = transitions.polled(twice, Pending(operation="op"), poll_at=LATER, now=NOW)
    assert (good.attempt.unknown_statuses, good.attempt.failure) == (2, None)


@pytest.mark.parametrize(("said", "kept"), [(None, 0.4), (0.1, 0.4), (0.7, 0.7)])
def test_progress_only_grows(said: float | None, kept: float) -> None:
    """A poll never lowers the progress."""
    polled = transitions.polled(waiting(), Pending(operation="op", progress=said), poll_at=LATER, now=NOW)
    assert polled.progress == kept


def test_a_finished_task_keeps_what_was_made() -> None:
    """A success ends attempt and task together, with results, usage and full progress."""
    usage = Usage(images=1)
    task = transitions.finished(waiting(), LINK, usage, now=LATER)
    assert (task.state, task.results, task.usage, task.progress) == (State.COMPLETED, LINK, usage, 1.0)
    assert (task.attempt.ended, task.attempt.accepted, task.attempt.failure) == (LATER, NOW, None)


def test_a_submit_that_succeeds_at_once_counts_as_accepted() -> None:
    """An attempt that never had an operation is accepted when it ends."""
    assert transitions.finished(begun(), LINK, None, now=LATER).attempt.accepted == LATER


def test_storing_is_resumed_postponed_and_ended() -> None:
    """Copies are made under a lease and postponed without one; failed copies are counted."""
    storing = transitions.storing_begun(waiting(), LINK, None, owner="w", lease_s=30.0, now=NOW)
    assert (storing.state, storing.results, storing.lease is not None) == (State.STORING, LINK, True)

    postponed = transitions.storing_postponed(storing, again_at=LATER, now=NOW)
    assert (postponed.lease, postponed.wake_at, postponed.attempt.copy_failures) == (None, LATER, 1)

    taken = transitions.storing_resumed(postponed, owner="w2", lease_s=30.0, now=LATER)
    assert taken.lease is not None
    assert (taken.lease.owner, taken.attempt.copy_failures) == ("w2", 1)

    stored = transitions.stored(taken, LINK, now=LATER)
    assert (stored.state, stored.lease, stored.wake_at) == (State.COMPLETED, None, None)


def test_a_failed_attempt_leads_to_pending_or_failed() -> None:
    """A failed attempt is ended with its reason; the task is pending again, or failed with the same reason."""
    again = transitions.attempt_failed(waiting(), BROKEN, again_at=LATER, choice=0, now=NOW)
    assert (again.state, again.wake_at, again.lease, again.failure) == (State.PENDING, LATER, None, None)
    assert (again.attempt.ended, again.attempt.failure, again.progress) == (NOW, BROKEN, None)

    failed = transitions.attempt_failed(waiting(), BROKEN, again_at=None, choice=0, now=NOW)
    assert (failed.state, failed.failure, failed.attempt.failure) == (State.FAILED, BROKEN, BROKEN)


def test_an_attempt_that_ended_keeps_its_own_reason() -> None:
    """A task that fails between attempts does not change its last attempt."""
    between = transitions.attempt_failed(begun(), BROKEN, again_at=LATER, choice=0, now=NOW)
    late = Failure(code="deadline_exceeded", message="late")

    failed = transitions.attempt_failed(between, late, again_at=None, choice=0, now=LATER)

    assert (failed.failure, failed.attempt.failure, failed.attempt.ended) == (late, BROKEN, NOW)
    assert transitions.attempt_failed(new(), late, again_at=None, choice=0, now=NOW).attempts == ()


def test_attempts_are_numbered_on() -> None:
    """The next attempt has the next number, and the earlier ones stay."""
    second = begun(transitions.attempt_failed(waiting(), BROKEN, again_at=LATER, choice=0, now=NOW))
    assert [attempt.number for attempt in second.attempts] == [1, 2]
    assert second.attempts[0].operation == "op"


def test_what_may_have_been_billed_is_counted() -> None:
    """Attempts with an operation count, and those that failed within the submit; refused ones do not."""
    refused = transitions.attempt_failed(
        begun(), Failure(code="overloaded", message="full"), again_at=LATER, choice=0, now=NOW
    )
    assert transitions.accepted_count(refused) == 0
    within = transitions.attempt_failed(begun(refused), BROKEN, again_at=LATER, choice=0, now=NOW)
    assert transitions.accepted_count(within) == 1
    later = transitions.accepted(begun(within), Pending(operation="op"), poll_at=LATER, now=NOW)
    assert transitions.accepted_count(later) == 2


def test_a_lease_expires_at_its_moment() -> None:
    """A lease expires at its moment; a task without a lease counts as expired."""
    until = NOW + timedelta(seconds=30)
    assert not transitions.lease_expired(begun(), until - timedelta(milliseconds=1))
    assert transitions.lease_expired(begun(), until)
    assert transitions.lease_expired(waiting(), NOW)


def test_transitions_out_of_order_are_refused() -> None:
    """A transition that is not in the table of moves is refused."""
    with pytest.raises(IllegalMove):
        transitions.begun(waiting(), choice=0, owner="w", lease_s=1.0, now=NOW)
    with pytest.raises(IllegalMove):
        transitions.finished(transitions.finished(waiting(), LINK, None, now=NOW), LINK, None, now=NOW)
