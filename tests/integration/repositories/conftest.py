"""A database of the test's own, and a clock that stands still."""

from collections.abc import AsyncIterator

import pytest

from repositories.mongodb.client import Database, connect_mongo
from tests.contracts.gates import MovableClock


@pytest.fixture
def clock() -> MovableClock:
    """Stands still."""
    return MovableClock()


@pytest.fixture
async def database(mongo_database_url: str) -> AsyncIterator[Database]:
    """An empty database of the test's own, with a client that is closed at the end."""
    database = connect_mongo(mongo_database_url)
    yield database
    database.client.close()
