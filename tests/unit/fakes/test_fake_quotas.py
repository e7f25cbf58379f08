"""`MemoryQuotas` keeps the contract of the quotas."""

import pytest

from core.errors import QueueUnavailable
from tests.contracts.gates import MovableClock
from tests.contracts.quotas import ONE, QuotasContract, taken
from tests.fakes.quotas import MemoryQuotas


class TestMemoryQuotas(QuotasContract):
    """`MemoryQuotas` keeps the contract."""

    @pytest.fixture
    def quotas(self, clock: MovableClock) -> MemoryQuotas:
        """An empty one."""
        return MemoryQuotas(clock=clock)


async def test_the_quotas_in_memory_can_be_made_unreachable() -> None:
    """A test may make them unavailable; they raise the error of the real adapter."""
    quotas = MemoryQuotas()
    quotas.reachable = False

    with pytest.raises(QueueUnavailable):
        await taken(quotas, "task_1", ONE)
