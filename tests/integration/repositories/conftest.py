"""A clock that stands still."""

import pytest

from tests.contracts.gates import MovableClock


@pytest.fixture
def clock() -> MovableClock:
    """Stands still."""
    return MovableClock()
