"""The factors of all units of durations and sizes."""

import pytest

from core.units import seconds, size_bytes


@pytest.mark.parametrize(
    ("unit", "factor"), [("", 1), ("ms", 0.001), ("s", 1), ("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)]
)
def test_each_unit_of_a_duration_has_its_factor(unit: str, factor: float) -> None:
    """Two of a unit are twice its factor in seconds."""
    assert seconds(f"2{unit}") == pytest.approx(2 * factor)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("", 1),
        ("B", 1),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("KiB", 1_024),
        ("MiB", 1_048_576),
        ("GiB", 1_073_741_824),
    ],
)
def test_each_unit_of_a_size_has_its_factor(unit: str, factor: int) -> None:
    """Two of a unit are twice its factor in bytes; decimal and binary units differ."""
    assert size_bytes(f"2{unit}") == 2 * factor
