"""MongoDB client: connection, replica set of the embedded server, and translation of driver errors."""

import asyncio
import contextlib
import re
import time
from collections.abc import Iterator
from datetime import UTC
from typing import Any, Final, TypeAlias, cast
from urllib.parse import parse_qsl, urlsplit

from bson.codec_options import CodecOptions
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo import ReadPreference, errors, uri_parser
from pymongo.topology_description import TopologyDescription
from pymongo.write_concern import WriteConcern

from core.errors import ConfigurationError, StoreUnavailable
from polyrelay import Secret
from repositories.mongodb.task_documents import Document

Database: TypeAlias = "AsyncIOMotorDatabase[Document]"

DEFAULT_DATABASE: Final = "polyrelay"

_NOT_YET_INITIALIZED: Final = 94
_INVALID_REPLICA_SET_CONFIG: Final = 93
_ALREADY_INITIALIZED: Final = 23
_AUTH_CODES: Final = frozenset({13, 18})

# The server is unavailable for any operation, not only for this one.
_UNREACHABLE: Final = (
    errors.ConnectionFailure,
    errors.ExecutionTimeout,
    errors.WaitQueueTimeoutError,
    errors.WriteConcernError,
    errors.WTimeoutError,
)


def connect_mongo(
    url: Secret | str, *, timeout_s: float = 5.0, connections: int = 100, app_name: str = "polyrelay"
) -> Database:
    """
    The database that the URL names, or "polyrelay" if it names none. Connects on first use.

    A write returns once a majority has journaled it; reads go to the primary. An operation fails if no server is found
    within `timeout_s`. Options in the URL take precedence. Close with `database.client.close()`.

    Raises:
        ConfigurationError: The URL is not a MongoDB URL.
    """
    text = url.reveal() if isinstance(url, Secret) else url
    timeout_ms = int(timeout_s * 1000)
    defaults: dict[str, Any] = {
        "appname": app_name,
        "maxPoolSize": connections,
        "serverSelectionTimeoutMS": timeout_ms,
        "connectTimeoutMS": timeout_ms,
        "waitQueueTimeoutMS": timeout_ms,
        "socketTimeoutMS": 20_000,
    }
    given = {name.lower() for name, _ in parse_qsl(urlsplit(text).query)}
    try:
        client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
            text, **{name: value for name, value in defaults.items() if name.lower() not in given}
        )
    except (errors.ConfigurationError, errors.InvalidURI, ValueError):
        # the driver's text may contain a part of the password
        raise ConfigurationError(
            "MONGO_URL is not a MongoDB URL; expected mongodb://[user:password@]host:port/database, "
            "user and password percent-encoded"
        ) from None
    return client.get_default_database(
        DEFAULT_DATABASE,
        codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
        read_preference=ReadPreference.PRIMARY,
        write_concern=WriteConcern("majority", wtimeout=20_000, j=True),
    )


async def initiate_replica_set(url: Secret | str, *, timeout_s: float = 30.0) -> None:
    """
    Make a `mongod --replSet rs0` the primary of a replica set with one member, and wait until it is.

    Does nothing if it is a primary already. If its data were created under another port, its address is updated.

    Raises:
        StoreUnavailable: It did not become primary within `timeout_s`.
    """
    text = url.reveal() if isinstance(url, Secret) else url
    host, port = uri_parser.parse_uri(text)["nodelist"][0]
    client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
        host, port, directConnection=True, serverSelectionTimeoutMS=int(timeout_s * 1000)
    )
    try:
        with store_errors(f"{host}:{port}"):
            await _become_primary(client, f"{host}:{port}", until=time.monotonic() + timeout_s)
    finally:
        client.close()


@contextlib.contextmanager
def store_errors(server: str) -> Iterator[None]:
    """Translates driver errors of an unavailable server into `StoreUnavailable`, whose text names the server."""
    try:
        yield
    except _UNREACHABLE as error:
        raise StoreUnavailable(f"MongoDB at {server} cannot be reached: {_reason(error)}") from error
    except errors.OperationFailure as error:
        if error.code not in _AUTH_CODES:
            raise
        raise StoreUnavailable(f"MongoDB at {server} refuses our credentials: {_reason(error)}") from error


def server_of(database: Database) -> str:
    """The server addresses that the client knows, without credentials."""
    # Motor's type hints declare a method; it is a property
    topology = cast("TopologyDescription", database.client.topology_description)
    return ", ".join(f"{host}:{port}" for host, port in topology.server_descriptions())


async def _become_primary(client: "AsyncIOMotorClient[Document]", address: str, *, until: float) -> None:
    while not (await client.admin.command("hello")).get("isWritablePrimary"):
        if time.monotonic() > until:
            raise StoreUnavailable(f"MongoDB at {address} did not become the primary of its replica set")
        await _configure(client, address)
        await asyncio.sleep(0.02)


async def _configure(client: "AsyncIOMotorClient[Document]", address: str) -> None:
    try:
        await client.admin.command("replSetGetStatus")
    except errors.OperationFailure as error:
        if error.code == _NOT_YET_INITIALIZED:
            await _initiate(client, address)
        elif error.code == _INVALID_REPLICA_SET_CONFIG:
            await _move(client, address)


async def _initiate(client: "AsyncIOMotorClient[Document]", address: str) -> None:
    config = {"_id": "rs0", "members": [{"_id": 0, "host": address}]}
    try:
        await client.admin.command("replSetInitiate", config)
    except errors.OperationFailure as error:
        if error.code != _ALREADY_INITIALIZED:
            raise


async def _move(client: "AsyncIOMotorClient[Document]", address: str) -> None:
    config = await client.local["system.replset"].find_one({})
    if config is not None and len(config["members"]) == 1:
        config["version"] += 1
        config["members"][0]["host"] = address
        await client.admin.command("replSetReconfig", config, force=True)


def _reason(error: errors.PyMongoError) -> str:
    return re.split(r",? \(configured timeouts|, Timeout:|, full error:", str(error))[0]
