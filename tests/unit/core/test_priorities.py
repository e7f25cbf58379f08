"""Weights of the priorities: fair turns and fair shares."""

from itertools import combinations

import pytest

from core.priorities import WEIGHTS, Priority, shares, turns

SOME = [served for size in (1, 2, 3) for served in combinations(Priority, size)]


def test_the_weights_are_six_to_three_to_one() -> None:
    """As the documentation promises."""
    assert list(WEIGHTS.values()) == [6, 3, 1]


@pytest.mark.parametrize("served", SOME)
def test_a_round_has_as_many_turns_as_weights(served: tuple[Priority, ...]) -> None:
    """Each served priority has its weight in turns, the others none."""
    order = turns(served)

    assert {priority: order.count(priority) for priority in Priority if priority in order} == {
        priority: WEIGHTS[priority] for priority in served
    }


def test_turns_are_spread() -> None:
    """No priority is served more than three times in a row while others wait."""
    order = "".join(priority[0] for priority in turns()) * 2

    assert "cccc" not in order
    assert "dd" not in order


@pytest.mark.parametrize("served", SOME)
@pytest.mark.parametrize("total", [1, 2, 3, 7, 10, 100])
def test_shares_use_all_slots_and_leave_none_without(total: int, served: tuple[Priority, ...]) -> None:
    """The slots are split among the served; a total that is too small for one each is exceeded."""
    split = shares(total, served)

    assert set(split) == set(served)
    assert min(split.values()) >= 1
    assert sum(split.values()) == max(total, len(served))


def test_ten_slots_are_split_by_weight() -> None:
    """Six, three and one."""
    assert list(shares(10).values()) == [6, 3, 1]
