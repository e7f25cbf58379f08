"""The task record and its table of moves."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.attempts import Attempt
from core.clock import to_milliseconds, utc_now
from core.random_ids import new_task_id
from core.task_states import FINAL, MOVES, OPEN, PHASES, IllegalMove, State, Status
from core.tasks import Lease, Task
from polyrelay import TaskType

NOW = datetime(2026, 3, 1, tzinfo=UTC)

# Written out a second time, from the design, so that a slip in the code's table is seen.
ARROWS = {
    "pending": "pending submitting failed cancelled",
    "submitting": "waiting storing completed failed pending cancelled",
    "waiting": "waiting storing completed failed pending cancelled",
    "storing": "storing completed failed",
    "failed": "pending",
    "completed": "",
    "cancelled": "",
}


def task_in(state: State, **fields: Any) -> Task:
    """A task in that state."""
    return Task(
        **{
            "id": "task_1",
            "type": TaskType.TEXT,
            "state": state,
            "provider": "p",
            "model": "m",
            "user_id": "u",
            "created": NOW,
            "updated": NOW,
            "deadline": NOW,
            **fields,
        }
    )


@pytest.mark.parametrize(("before", "after"), list(product(State, State)))
def test_only_the_arrows_of_the_design_exist(before: State, after: State) -> None:
    """Of all pairs of states exactly those of the design are moves; every other one is refused by name."""
    later = NOW + timedelta(seconds=1)
    if after.value in ARROWS[before.value].split():
        moved = task_in(before, version=7).to(after, now=later)
        assert (moved.state, moved.version, moved.updated) == (after, 8, later)
    else:
        with pytest.raises(IllegalMove, match=f"task_1: {before} to {after}"):
            task_in(before).to(after, now=later)


@pytest.mark.parametrize("state", State)
def test_each_state_shows_one_status(state: State) -> None:
    """Phases are shown as `processing`; every other state is a status of its own."""
    assert state.status is (Status.PROCESSING if state in PHASES else Status(state.value))
    assert state.final is (state in FINAL)
    assert (state in OPEN) is not state.final


def test_every_open_state_can_end() -> None:
    """From each open state a final one can be reached in one move, so that a deadline can be kept."""
    assert all(MOVES[state] & FINAL for state in OPEN)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_state_drops_lease_and_wake(state: State) -> None:
    """A final task has no lease and no `wake_at`."""
    before = next(state_before for state_before, after in MOVES.items() if state in after)
    held = task_in(before, lease=Lease(owner="w", until=NOW), wake_at=NOW)

    ended = held.to(state, now=NOW, wake_at=NOW)

    assert (ended.lease, ended.wake_at) == (None, None)


def test_a_change_leaves_the_value_before_as_it_was() -> None:
    """A task is a value: a move makes a new one."""
    before = task_in(State.PENDING)
    before.to(State.FAILED, now=NOW)
    assert before == task_in(State.PENDING)


def test_only_the_latest_attempt_is_changed() -> None:
    """Earlier attempts are history."""
    attempts = tuple(Attempt(number=n, provider="p", model="m", started=NOW) for n in (1, 2))
    task = task_in(State.SUBMITTING, attempts=attempts)

    changed = task.with_attempt(operation="op")

    assert (changed[0], changed[1].operation) == (attempts[0], "op")
    with pytest.raises(IndexError):
        _ = task_in(State.PENDING).attempt


@given(st.lists(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2200, 1, 1)), min_size=2))  # noqa: DTZ001
def test_ids_sort_by_time(moments: list[datetime]) -> None:
    """An id made in a later millisecond sorts after one made in an earlier one."""
    aware = sorted(to_milliseconds(moment.replace(tzinfo=UTC)) for moment in moments)
    for (earlier, first), (later, second) in pairwise([(moment, new_task_id(moment)) for moment in aware]):
        assert earlier == later or first < second


def test_ids_cannot_be_guessed() -> None:
    """Ids of one millisecond differ in 80 random bits, and are safe in an address and a file name."""
    ids = {new_task_id(NOW) for _ in range(1000)}
    assert len({task_id[17:] for task_id in ids}) == 1000
    assert all(len(task_id) == 37 and task_id.replace("_", "").isalnum() for task_id in ids)


@given(st.datetimes(timezones=st.just(UTC)))
def test_time_is_kept_in_whole_milliseconds(moment: datetime) -> None:
    """A moment is cut, never rounded up, to what MongoDB can store."""
    cut = to_milliseconds(moment)
    assert timedelta(0) <= moment - cut < timedelta(milliseconds=1)
    assert cut.microsecond % 1000 == 0
    assert to_milliseconds(cut) == cut


def test_now_is_aware_utc() -> None:
    """The server's clock is aware, in UTC, and in whole milliseconds."""
    now = utc_now()
    assert (now.tzinfo, now.microsecond % 1000) == (UTC, 0)
