"""Both engines keep the contract on a real Valkey."""

import pytest
from arq.connections import ArqRedis

from tests.contracts.engine_fixtures import ArqEngineFixture, ClaimEngineFixture
from tests.contracts.wake_engine import EngineContract


class TestClaimEngine(EngineContract):
    """The engine that claims keeps the contract."""

    @pytest.fixture
    def fixture(self, redis: ArqRedis) -> ClaimEngineFixture:
        """On an empty queue."""
        return ClaimEngineFixture(redis)


class TestArqEngine(EngineContract):
    """Plain arq keeps the contract."""

    @pytest.fixture
    def fixture(self, redis: ArqRedis) -> ArqEngineFixture:
        """On an empty queue."""
        return ArqEngineFixture(redis)
