"""`MemoryRates` keeps the contract of the rates."""

import pytest

from core.errors import QueueUnavailable
from tests.contracts.gates import MovableClock
from tests.contracts.rates import RatesContract
from tests.fakes.rates import MemoryRates


class TestMemoryRates(RatesContract):
    """`MemoryRates` keeps the contract."""

    @pytest.fixture
    def rates(self, clock: MovableClock) -> MemoryRates:
        """Rates without any request."""
        return MemoryRates(clock=clock)


async def test_the_rates_in_memory_can_be_made_unreachable() -> None:
    """A test may make them unavailable; they raise the error of the real adapter."""
    rates = MemoryRates()
    rates.reachable = False

    with pytest.raises(QueueUnavailable):
        await rates.count("ow_1", limit=1)
