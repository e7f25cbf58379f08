"""`MongoControlRoom` on a real MongoDB."""

from collections.abc import AsyncIterator

import pytest

from cli.embedded.servers import free_port
from core.errors import StoreUnavailable
from repositories.mongodb.client import connect_mongo
from repositories.mongodb.control import MongoControlRoom
from tests.contracts.control import ControlContract, a_report


@pytest.fixture
async def room(mongo_database_url: str) -> AsyncIterator[MongoControlRoom]:
    """An empty one."""
    database = connect_mongo(mongo_database_url)
    room = MongoControlRoom(database)
    await room.prepare()
    yield room
    database.client.close()


class TestMongoControlRoom(ControlContract):
    """`MongoControlRoom` keeps the contract."""


async def test_a_database_that_is_away_is_told_as_such() -> None:
    """Neither decisions nor reports are guessed."""
    database = connect_mongo(f"mongodb://127.0.0.1:{free_port()}/polyrelay?serverSelectionTimeoutMS=100")
    room = MongoControlRoom(database)

    with pytest.raises(StoreUnavailable):
        await room.read()
    with pytest.raises(StoreUnavailable):
        await room.report(a_report())
    database.client.close()
