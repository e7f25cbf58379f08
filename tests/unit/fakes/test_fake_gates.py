"""`MemoryGates` keeps the contract of the gates."""

import pytest

from core.errors import QueueUnavailable
from tests.contracts.gates import RULES, GatesContract, MovableClock, a_ticket
from tests.fakes.gates import MemoryGates


class TestMemoryGates(GatesContract):
    """`MemoryGates` keeps the contract."""

    @pytest.fixture
    def gates(self, clock: MovableClock) -> MemoryGates:
        """An empty one."""
        return MemoryGates(clock=clock, rules=RULES)


async def test_the_gates_in_memory_can_be_made_unreachable() -> None:
    """A test may make them unavailable; they raise the error of the real adapter."""
    gates = MemoryGates()
    gates.reachable = False

    with pytest.raises(QueueUnavailable):
        await gates.enter(a_ticket(1))
    with pytest.raises(QueueUnavailable):
        await gates.views()
