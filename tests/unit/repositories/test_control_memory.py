"""The twin of the control room keeps the contract."""

import pytest

from repositories.memory_control import MemoryControlRoom
from tests.contracts.control import ControlContract


@pytest.fixture
def room() -> MemoryControlRoom:
    """Nothing was decided."""
    return MemoryControlRoom()


class TestMemoryControlRoom(ControlContract):
    """`MemoryControlRoom` keeps the contract."""
