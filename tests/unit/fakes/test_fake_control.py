"""The twin of the control room keeps the contract."""

import pytest

from tests.contracts.control import ControlContract
from tests.fakes.control import MemoryControlStore


@pytest.fixture
def control() -> MemoryControlStore:
    """Nothing was decided."""
    return MemoryControlStore()


class TestMemoryControlStore(ControlContract):
    """`MemoryControlStore` keeps the contract."""
