"""`MongoControlStore` on a real MongoDB."""

from collections.abc import AsyncIterator

import pytest

from cli.embedded.ports import free_port
from core.errors import StoreUnavailable
from repositories.mongodb.client import connect_mongo
from repositories.mongodb.control import MongoControlStore
from tests.contracts.control import ControlContract, a_report


@pytest.fixture
async def task_quotas(mongo_database_url: str) -> AsyncIterator[MongoControlStore]:
    """An empty one."""
    database = connect_mongo(mongo_database_url)
    task_quotas = MongoControlStore(database)
    await task_quotas.prepare()
    yield task_quotas
    database.client.close()


class TestMongoControlRoom(ControlContract):
    """`MongoControlStore` keeps the contract."""


async def test_a_database_that_is_unavailable_is_reported_as_such() -> None:
    """Neither decisions nor reports are guessed."""
    database = connect_mongo(f"mongodb://127.0.0.1:{free_port()}/polyrelay?serverSelectionTimeoutMS=100")
    task_quotas = MongoControlStore(database)

    with pytest.raises(StoreUnavailable):
        await task_quotas.read()
    with pytest.raises(StoreUnavailable):
        await task_quotas.report(a_report())
    database.client.close()
