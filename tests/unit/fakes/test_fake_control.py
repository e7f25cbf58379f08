"""The twin of the control room keeps the contract."""

import pytest

from tests.contracts.control import ControlContract
from tests.fakes.control import MemoryControlRoom


@pytest.fixture
def room() -> MemoryControlRoom:
    """Nothing was decided."""
    return MemoryControlRoom()


class TestMemoryControlRoom(ControlContract):
    """`MemoryControlRoom` keeps the contract."""
