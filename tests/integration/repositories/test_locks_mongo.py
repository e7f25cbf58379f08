"""`MongoLocks` on a real MongoDB."""

import asyncio

import pytest

from cli.embedded.ports import free_port
from core.clock import utc_now
from core.errors import StoreUnavailable
from repositories.mongodb.client import Database, connect_mongo
from repositories.mongodb.locks import MongoLocks
from tests.contracts.locks import LocksContract, MovedClock


@pytest.fixture
def clock() -> MovedClock:
    """The clock of all processes."""
    return MovedClock()


@pytest.fixture
def locks(database: Database, clock: MovedClock) -> MongoLocks:
    """Locks, none of them taken."""
    return MongoLocks(database, clock=clock)


class TestMongoLocks(LocksContract):
    """`MongoLocks` keeps the contract."""


async def test_processes_with_connections_of_their_own_share_the_locks(
    locks: MongoLocks, clock: MovedClock, mongo_database_url: str
) -> None:
    """One of the processes runs the job."""
    others = [connect_mongo(mongo_database_url) for _ in range(4)]
    everybody = [locks, *(MongoLocks(database, clock=clock) for database in others)]

    answers = await asyncio.gather(*(one.take("reconcile", for_s=10) for one in everybody for _ in range(3)))

    assert answers.count(True) == 1
    for database in others:
        database.client.close()


async def test_an_unavailable_database_raises_store_unavailable() -> None:
    """No process runs the job then."""
    database = connect_mongo(f"mongodb://127.0.0.1:{free_port()}/polyrelay?serverSelectionTimeoutMS=100")

    with pytest.raises(StoreUnavailable):
        await MongoLocks(database, clock=utc_now).take("reconcile", for_s=10)
    database.client.close()
