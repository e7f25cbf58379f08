"""The quotas in which a task counts, by its state."""

import pytest
from msgspec import structs

from core.quotas import Counting, counting_of, quota_name, quotas_of, quotas_to_release
from core.task_states import State
from tests.contracts.tasks import a_task

OPEN = quota_name(Counting.OPEN, "provider", "acme")
WAITING = quota_name(Counting.WAITING, "key", "42")
BOTH = (OPEN, WAITING)


def test_the_name_of_a_quota_says_which_tasks_it_counts() -> None:
    """Names are stored in Redis and with the task: their form is fixed."""
    assert BOTH == ("open:provider:acme", "waiting:key:42")
    assert [counting_of(name) for name in BOTH] == [Counting.OPEN, Counting.WAITING]


@pytest.mark.parametrize("state", State)
def test_a_task_counts_in_a_quota_by_its_state(state: State) -> None:
    """An `open` quota counts every task that has not ended; a `waiting` quota counts pending tasks only."""
    expected = [] if state.final else [OPEN, WAITING] if state is State.PENDING else [OPEN]

    assert list(quotas_of(BOTH, state)) == expected


@pytest.mark.parametrize("state", State)
def test_quotas_are_released_by_the_state_that_a_task_has_reached(state: State) -> None:
    """The end of a task releases all quotas, its submit the `waiting` ones, and every other state none."""
    task = structs.replace(a_task(state=state), quotas=BOTH)
    expected = list(BOTH) if state.final else [WAITING] if state is State.SUBMITTING else []

    assert list(quotas_to_release(task)) == expected
