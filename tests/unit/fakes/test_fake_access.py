"""The in-memory adapters of keys, users and used signatures keep the contracts."""

import pytest

from tests.contracts.access import KeysContract, UsedSignaturesContract, UsersContract
from tests.fakes.access import MemoryKeys, MemoryUsedSignatures, MemoryUsers


@pytest.fixture
def keys() -> MemoryKeys:
    """An empty one."""
    return MemoryKeys()


@pytest.fixture
def users() -> MemoryUsers:
    """An empty one."""
    return MemoryUsers()


@pytest.fixture
def used_signatures() -> MemoryUsedSignatures:
    """An empty one."""
    return MemoryUsedSignatures()


class TestMemoryKeys(KeysContract):
    """`MemoryKeys` keeps the contract."""


class TestMemoryUsers(UsersContract):
    """`MemoryUsers` keeps the contract."""


class TestMemoryUsedSignatures(UsedSignaturesContract):
    """`MemoryUsedSignatures` keeps the contract."""
