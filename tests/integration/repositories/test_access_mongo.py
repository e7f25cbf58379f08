"""Keys, users and used signatures in MongoDB keep the contracts."""

import pytest

from cli.embedded.ports import free_port
from core.errors import StoreUnavailable
from repositories.mongodb.client import Database, connect_mongo
from repositories.mongodb.keys import MongoKeys
from repositories.mongodb.used_signatures import MongoUsedSignatures
from repositories.mongodb.users import MongoUsers
from tests.contracts.access import NOW, KeysContract, UsedSignaturesContract, UsersContract, a_key, a_user


@pytest.fixture
async def keys(database: Database) -> MongoKeys:
    """An empty store, prepared twice, as by two processes."""
    keys = MongoKeys(database)
    await keys.prepare()
    await keys.prepare()
    return keys


@pytest.fixture
async def users(database: Database) -> MongoUsers:
    """An empty one."""
    users = MongoUsers(database)
    await users.prepare()
    return users


@pytest.fixture
async def used_signatures(database: Database) -> MongoUsedSignatures:
    """An empty one."""
    used_signatures = MongoUsedSignatures(database)
    await used_signatures.prepare()
    return used_signatures


class TestMongoKeys(KeysContract):
    """`MongoKeys` keeps the contract."""


class TestMongoUsers(UsersContract):
    """`MongoUsers` keeps the contract."""


class TestMongoUsedSignatures(UsedSignaturesContract):
    """`MongoUsedSignatures` keeps the contract."""


async def test_fields_of_a_newer_version_are_ignored(keys: MongoKeys, database: Database) -> None:
    """Two versions of the server run side by side."""
    key = a_key()
    await keys.add(key)
    await database.get_collection("api_keys").update_one({"_id": key.id}, {"$set": {"scopes": ["x"]}})

    assert await keys.get(key.id) == key


async def test_an_unavailable_database_raises_store_unavailable() -> None:
    """An unavailable database is not mistaken for an unknown key."""
    database = connect_mongo(f"mongodb://127.0.0.1:{free_port()}/polyrelay?serverSelectionTimeoutMS=100")

    for call in (
        MongoKeys(database).of_fingerprint("0"),
        MongoUsers(database).add(a_user("a@b.de")),
        MongoUsedSignatures(database).spend("0", until=NOW),
    ):
        with pytest.raises(StoreUnavailable):
            await call
    database.client.close()
