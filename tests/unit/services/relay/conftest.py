"""A fresh relay."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.services.relay.relay_fixture import RelayFixture


@pytest.fixture
async def relay() -> AsyncIterator[RelayFixture]:
    """The relay, a worker and a vendor."""
    made = RelayFixture()
    yield made
    await made.aclose()


@pytest.fixture
async def hasty() -> AsyncIterator[RelayFixture]:
    """The same, with short timeouts."""
    made = RelayFixture(submit_s=0.02, answer_s=0.02)
    yield made
    await made.aclose()
