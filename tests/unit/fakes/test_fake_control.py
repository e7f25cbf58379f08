"""The twin of the control room keeps the contract."""

import pytest

from tests.contracts.control import ControlContract
from tests.fakes.control import MemoryControlStore


@pytest.fixture
def task_quotas() -> MemoryControlStore:
    """Nothing was decided."""
    return MemoryControlStore()


class TestMemoryControlRoom(ControlContract):
    """`MemoryControlStore` keeps the contract."""
