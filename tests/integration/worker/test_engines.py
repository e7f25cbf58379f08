"""Both engines keep the contract on a real Valkey."""

import pytest
from arq.connections import ArqRedis

from tests.contracts.engine_labs import ArqLab, ClaimLab
from tests.contracts.wake_engine import EngineContract


class TestClaimEngine(EngineContract):
    """The engine that claims keeps the contract."""

    @pytest.fixture
    def lab(self, redis: ArqRedis) -> ClaimLab:
        """On an empty queue."""
        return ClaimLab(redis)


class TestArqEngine(EngineContract):
    """Plain arq keeps the contract."""

    @pytest.fixture
    def lab(self, redis: ArqRedis) -> ArqLab:
        """On an empty queue."""
        return ArqLab(redis)
