"""What a caller may do and see."""

import pytest

from core.callers import ANYBODY, Caller, Role


@pytest.mark.parametrize("role", Role)
def test_each_role_may_do_what_the_ones_before_it_may(role: Role) -> None:
    """app, operator, admin: in that order."""
    order = list(Role)

    assert [role.includes(other) for other in order] == [order.index(other) <= order.index(role) for other in order]


def test_an_app_sees_only_what_is_its_own() -> None:
    """What others created, and what nobody in particular did, does not exist for it."""
    app = Caller(role=Role.APP, owner="key_1")

    assert [app.sees(owner) for owner in ("key_1", "key_2", None)] == [True, False, False]
    assert app.confined_to == "key_1"


def test_an_app_without_an_owner_sees_nothing() -> None:
    """There is no such key; if there were, it would not see what was created while nobody was asked."""
    assert not Caller(role=Role.APP).sees(None)
    assert Caller(role=Role.APP).confined_to is not None


@pytest.mark.parametrize("caller", [ANYBODY, Caller(role=Role.OPERATOR, owner="key_1")])
def test_operators_and_admins_see_everything(caller: Caller) -> None:
    """Whoever created it."""
    assert all(caller.sees(owner) for owner in ("key_1", "key_2", None))
    assert caller.confined_to is None
