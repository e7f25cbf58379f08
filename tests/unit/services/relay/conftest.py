"""A fresh lab."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.services.relay.relay_fixture import RelayLab


@pytest.fixture
async def lab() -> AsyncIterator[RelayLab]:
    """The relay, a worker and a vendor."""
    made = RelayLab()
    yield made
    await made.aclose()


@pytest.fixture
async def hasty() -> AsyncIterator[RelayLab]:
    """The same, whose patience ends soon."""
    made = RelayLab(submit_s=0.02, answer_s=0.02)
    yield made
    await made.aclose()
