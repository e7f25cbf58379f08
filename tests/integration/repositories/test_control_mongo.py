"""`MongoControlStore` on a real MongoDB."""

import pytest

from cli.embedded.ports import free_port
from core.errors import StoreUnavailable
from repositories.mongodb.client import Database, connect_mongo
from repositories.mongodb.control import MongoControlStore
from tests.contracts.control import ControlContract, a_report


@pytest.fixture
async def control(database: Database) -> MongoControlStore:
    """An empty control store."""
    control = MongoControlStore(database)
    await control.prepare()
    return control


class TestMongoControlStore(ControlContract):
    """`MongoControlStore` keeps the contract."""


async def test_an_unavailable_database_raises_store_unavailable() -> None:
    """Neither decisions nor reports are guessed."""
    database = connect_mongo(f"mongodb://127.0.0.1:{free_port()}/polyrelay?serverSelectionTimeoutMS=100")
    control = MongoControlStore(database)

    with pytest.raises(StoreUnavailable):
        await control.read()
    with pytest.raises(StoreUnavailable):
        await control.report(a_report())
    database.client.close()
