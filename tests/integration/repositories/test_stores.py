"""The adapters of a process are opened, prepared and closed together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from msgspec import structs
from pymongo.errors import InvalidOperation
from redis import Redis

from cli.embedded.ports import free_port
from core.audit import Action, AuditQuery, AuditRow
from core.clock import utc_now
from core.errors import ConfigurationError, StoreUnavailable
from core.random_ids import new_row_id
from core.settings import Settings
from polyrelay import Secret
from repositories.mongodb.audit import MongoAuditLog
from repositories.mongodb.client import Database
from repositories.stores import ApiStores, Stores, WorkerStores, api_stores, worker_stores

Open = Callable[[Settings], Stores]

both = pytest.mark.parametrize("open_stores", [api_stores, worker_stores])


@pytest.fixture
def settings(mongo_database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Real servers, and a folder for results."""
    return Settings(mongo_url=Secret(mongo_database_url), redis_url=Secret(redis_url), results_url=str(tmp_path))


@pytest.fixture
async def unavailable(settings: Settings) -> AsyncIterator[ApiStores]:
    """Adapters whose MongoDB is unavailable."""
    url = Secret(f"mongodb://127.0.0.1:{free_port()}/polyrelay?serverSelectionTimeoutMS=100")
    stores = api_stores(structs.replace(settings, mongo_url=url))
    yield stores
    await stores.aclose()


def a_row() -> AuditRow:
    """A row of the audit log."""
    now = utc_now()
    return AuditRow(id=new_row_id(now), at=now, action=Action.KEY_CREATE, source="test")


async def _indexes(database: Database) -> dict[str, set[str]]:
    names = await database.list_collection_names()
    return {name: set(await database.get_collection(name).index_information()) for name in names}


def _connected(settings: Settings) -> list[str]:
    """The Valkey connections that the server's clients have open, by address."""
    with Redis.from_url(settings.redis_url.reveal()) as redis:
        return [client["addr"] for client in redis.client_list() if client["name"] == "polyrelay"]


@both
async def test_all_adapters_reach_their_servers(open_stores: Open, settings: Settings) -> None:
    """MongoDB, Valkey and the result store answer."""
    stores = open_stores(settings)

    await stores.prepare()

    await stores.tasks.ping()
    await stores.queue.ping()
    await stores.results.ping()
    await stores.aclose()


@both
async def test_preparing_again_changes_nothing(open_stores: Open, settings: Settings) -> None:
    """Several processes prepare one database, at once and one after another."""
    stores, other = open_stores(settings), open_stores(settings)

    await asyncio.gather(stores.prepare(), other.prepare())
    prepared = await _indexes(stores.database)
    await stores.prepare()

    assert await _indexes(stores.database) == prepared
    await stores.aclose()
    await other.aclose()


async def test_only_the_api_prepares_keys_users_and_signatures(settings: Settings) -> None:
    """A worker opens nothing that it does not use."""
    worker, api = worker_stores(settings), api_stores(settings)

    await worker.prepare()
    of_worker = set(await _indexes(worker.database))
    await api.prepare()
    of_api = set(await _indexes(api.database))

    assert isinstance(worker, WorkerStores)
    assert of_worker == {"tasks", "processes", "audit"}
    assert of_api == of_worker | {"api_keys", "users", "replays"}
    await worker.aclose()
    await api.aclose()


async def test_an_unavailable_database_fails_the_preparation(unavailable: ApiStores) -> None:
    """`StoreUnavailable` reaches the composition root."""
    with pytest.raises(StoreUnavailable, match="MongoDB at"):
        await unavailable.prepare()


async def test_an_unavailable_database_does_not_stop_the_closing(unavailable: ApiStores) -> None:
    """What cannot be written is lost, and the clients are closed."""
    unavailable.audit.note(a_row())

    await unavailable.aclose()

    with pytest.raises(InvalidOperation):
        await unavailable.tasks.ping()


@both
async def test_every_adapter_is_closed(open_stores: Open, settings: Settings) -> None:
    """Both clients are closed, after the audit rows that still waited were written."""
    row = a_row()
    stores = open_stores(settings)
    await stores.prepare()
    await stores.queue.ping()
    stores.audit.note(row)
    assert _connected(settings)

    await stores.aclose()

    assert not _connected(settings)
    with pytest.raises(InvalidOperation):
        await stores.tasks.ping()
    reader = open_stores(settings)
    assert [each.id for each in await reader.audit.page(AuditQuery())] == [row.id]
    await reader.aclose()


async def test_the_rest_is_closed_if_one_close_fails(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure is raised once everything else is closed."""
    stores = api_stores(settings)
    await stores.prepare()

    async def broken(_: MongoAuditLog) -> None:
        raise RuntimeError("cannot be closed")

    with monkeypatch.context() as patch:
        patch.setattr(MongoAuditLog, "aclose", broken)
        with pytest.raises(RuntimeError, match="cannot be closed"):
            await stores.aclose()

    with pytest.raises(InvalidOperation):
        await stores.tasks.ping()


@pytest.mark.parametrize(
    ("name", "url"),
    [("mongo_url", Secret("ftp://x")), ("redis_url", Secret("ftp://x")), ("results_url", "ftp://x")],
)
def test_an_unusable_url_is_a_configuration_error(name: str, url: Secret | str, settings: Settings) -> None:
    """The text names the setting."""
    with pytest.raises(ConfigurationError, match=name.upper()):
        api_stores(structs.replace(settings, **{name: url}))
