"""Numbers in vendors' responses."""

import pytest

from services.vendors.numbers import count, number

LARGEST = 9_007_199_254_740_992  # 2**53: larger integers are not exact in JSON


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0), (7, 7), (LARGEST, LARGEST), (LARGEST + 1, None), (-1, None), (True, None), (7.0, None), ("7", None)],
)
def test_a_count_is_a_whole_number_within_the_limits(value: object, expected: int | None) -> None:
    """Negative numbers, numbers above 2**53 and values of other types are None."""
    assert count({"tokens": value}, "tokens") == expected


@pytest.mark.parametrize("usage", [None, [], "tokens", {"other": 7}])
def test_a_count_that_is_missing_is_none(usage: object) -> None:
    """The value is None without the name, and for anything that is not an object."""
    assert count(usage, "tokens") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0.0),
        (7.5, 7.5),
        (" 8 ", 8.0),
        (LARGEST, float(LARGEST)),
        (float(LARGEST + 2), None),
        (-0.5, None),
        ("-1", None),
        (float("inf"), None),
        ("nan", None),
        (10**400, None),
        ("eight", None),
        (True, None),
        (None, None),
        ([8], None),
    ],
)
def test_a_number_is_finite_and_within_the_limits(value: object, expected: float | None) -> None:
    """Texts are converted; negative, infinite, too large and other values are None."""
    assert number(value) == expected
