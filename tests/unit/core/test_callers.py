"""Permissions of callers: roles, and the tasks that each one sees."""

import pytest

from core.callers import ANYBODY, Caller, Role


@pytest.mark.parametrize("role", Role)
def test_each_role_includes_the_roles_before_it(role: Role) -> None:
    """The order is app, operator, admin."""
    order = list(Role)

    assert [role.includes(other) for other in order] == [order.index(other) <= order.index(role) for other in order]


def test_an_app_sees_only_tasks_of_its_owner() -> None:
    """It sees neither tasks of other owners nor tasks without an owner."""
    app = Caller(role=Role.APP, owner="key_1")

    assert [app.sees(owner) for owner in ("key_1", "key_2", None)] == [True, False, False]
    assert app.confined_to == "key_1"


def test_an_app_without_an_owner_sees_nothing() -> None:
    """Such a key does not exist; if it did, it would not see tasks that were created with AUTH=none."""
    assert not Caller(role=Role.APP).sees(None)
    assert Caller(role=Role.APP).confined_to is not None


@pytest.mark.parametrize("caller", [ANYBODY, Caller(role=Role.OPERATOR, owner="key_1")])
def test_operators_and_admins_see_all_tasks(caller: Caller) -> None:
    """The owner of a task does not matter."""
    assert all(caller.sees(owner) for owner in ("key_1", "key_2", None))
    assert caller.confined_to is None
