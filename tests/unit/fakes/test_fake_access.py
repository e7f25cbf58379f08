"""The twins of keys, users and used-up signatures keep the contracts."""

import pytest

from tests.contracts.access import KeysContract, ReplaysContract, UsersContract
from tests.fakes.access import MemoryKeys, MemoryReplays, MemoryUsers


@pytest.fixture
def keys() -> MemoryKeys:
    """An empty one."""
    return MemoryKeys()


@pytest.fixture
def users() -> MemoryUsers:
    """An empty one."""
    return MemoryUsers()


@pytest.fixture
def replays() -> MemoryReplays:
    """An empty one."""
    return MemoryReplays()


class TestMemoryKeys(KeysContract):
    """`MemoryKeys` keeps the contract."""


class TestMemoryUsers(UsersContract):
    """`MemoryUsers` keeps the contract."""


class TestMemoryReplays(ReplaysContract):
    """`MemoryReplays` keeps the contract."""
