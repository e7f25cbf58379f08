"""A submit that is postponed."""

from datetime import UTC, datetime, timedelta

from core import transitions
from core.task_states import State
from tests.contracts.tasks import a_task

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=9)


def test_a_postponed_task_stays_pending_until_its_next_wake() -> None:
    """Its next version is pending without an attempt or a lease, and is woken at the given time."""
    task = a_task(state=State.PENDING)

    postponed = transitions.postponed(task, again_at=LATER, now=NOW)

    assert (postponed.state, postponed.wake_at, postponed.updated) == (State.PENDING, LATER, NOW)
    assert (postponed.version, postponed.attempts, postponed.lease) == (task.version + 1, (), None)
