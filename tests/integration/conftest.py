"""One real MongoDB and one real Valkey for all tests of a session, on free ports of loopback."""

import secrets
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest
from arq.connections import ArqRedis
from pymongo import MongoClient
from redis import Redis

from cli.embedded.servers import MongoServer, ValkeyServer
from repositories.valkey.connection import connect_queue
from tests.servers import started

pytest.register_assert_rewrite("tests.contracts")


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """The session's MongoDB; a test that stops servers starts its own."""
    with started(MongoServer(tmp_path_factory.mktemp("mongo"))) as server:
        yield server


@pytest.fixture(scope="session")
def mongo_url(mongo_server: MongoServer) -> str:
    """The session's MongoDB, with the default database; see `mongo_database_url`."""
    return mongo_server.url


@pytest.fixture
def mongo_database_url(mongo_server: MongoServer) -> Iterator[str]:
    """A database of the test's own, empty, and dropped at the end."""
    name = f"test_{secrets.token_hex(6)}"
    url = mongo_server.url_of(name)
    yield url
    with MongoClient(url) as client:  # type: ignore[var-annotated]
        client.drop_database(name)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """The session's Valkey; a test that stops servers starts its own."""
    with started(ValkeyServer(tmp_path_factory.mktemp("valkey"))) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: ValkeyServer) -> str:
    """The session's Valkey, emptied."""
    with Redis(port=urlsplit(redis_server.url).port or 0) as redis:
        redis.flushall()
    return redis_server.url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[ArqRedis]:
    """An empty Valkey."""
    redis = connect_queue(redis_url)
    yield redis
    await redis.aclose()
