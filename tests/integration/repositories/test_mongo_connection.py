"""The MongoDB client: settings, unavailable servers, and servers that become unavailable."""

import asyncio
from pathlib import Path

import pytest

from cli.embedded.ports import free_port
from cli.embedded.servers import MongoServer
from core.errors import ConfigurationError, StoreUnavailable
from core.task_repository import TaskQuery
from core.task_states import State
from polyrelay import Secret
from repositories.mongodb.client import connect_mongo, initiate_replica_set
from repositories.mongodb.tasks import MongoTaskRepository
from tests.contracts.task_repository import outcome_of
from tests.contracts.tasks import NOW, a_task
from tests.servers import running


async def test_an_unreachable_server_is_store_unavailable() -> None:
    """Each call raises it soon; the text names the server, without credentials."""
    url = Secret(f"mongodb://user:hidden@127.0.0.1:{free_port()}/x")
    repository = MongoTaskRepository(connect_mongo(url, timeout_s=0.05))
    task = a_task()
    calls = [
        repository.prepare(),
        repository.add(task, {}),
        repository.add(task, {"image": "A" * 2**20}),
        repository.get(task.id),
        repository.get_input(task.id),
        repository.save(task.to(State.FAILED, now=NOW)),
        repository.delete(task),
        repository.page(TaskQuery(user_id="user-1")),
        repository.overdue(before=NOW),
    ]
    outcomes = await asyncio.gather(*map(outcome_of, calls))

    assert outcomes == [StoreUnavailable] * len(calls)
    with pytest.raises(StoreUnavailable, match=r"MongoDB at 127\.0\.0\.1:\d+ cannot be reached") as caught:
        await repository.ping()
    assert "hidden" not in str(caught.value)
    await repository.aclose()


async def test_wrong_credentials_are_store_unavailable(mongo_url: str) -> None:
    """The text says that the server refuses them, without showing them."""
    url = mongo_url.replace("mongodb://", "mongodb://user:hidden@")
    repository = MongoTaskRepository(connect_mongo(url))

    with pytest.raises(StoreUnavailable, match="refuses our credentials") as caught:
        await repository.ping()

    assert "hidden" not in str(caught.value)
    await repository.aclose()


@pytest.mark.parametrize("url", ["", "http://user:hidden@x/", "mongodb://", "mongodb://user:hid/den@x/y"])
async def test_an_unusable_url_is_a_configuration_error(url: str) -> None:
    """The text names the setting and quotes nothing of it."""
    with pytest.raises(ConfigurationError, match="MONGO_URL") as caught:
        connect_mongo(Secret(url))

    assert "hid" not in str(caught.value)


@pytest.mark.parametrize(("path", "name"), [("", "polyrelay"), ("/", "polyrelay"), ("/orders", "orders")])
async def test_the_url_names_the_database(path: str, name: str) -> None:
    """Without a name it is "polyrelay"."""
    database = connect_mongo(f"mongodb://127.0.0.1:1{path}")

    assert database.name == name
    database.client.close()


async def test_an_option_of_the_url_wins() -> None:
    """An option of the URL takes precedence over our default."""
    database = connect_mongo("mongodb://127.0.0.1:1/?maxPoolSize=7&appName=mine")

    assert database.client.delegate.options.pool_options.max_pool_size == 7
    assert database.client.delegate.options.pool_options.appname == "mine"
    database.client.close()


async def test_a_replica_set_is_initiated_once(mongo_url: str) -> None:
    """Initiating a primary does nothing."""
    await initiate_replica_set(mongo_url)


async def test_a_repository_recovers_when_its_server_comes_back(tmp_path: Path) -> None:
    """While MongoDB is unavailable calls fail; afterwards the same repository works, with its data."""
    async with running(MongoServer(tmp_path, port=free_port())) as server:
        repository = MongoTaskRepository(connect_mongo(server.url, timeout_s=0.2))
        await repository.prepare()
        task = a_task()
        await repository.add(task, {"prompt": "a cat"})

        await server.kill()
        assert await outcome_of(repository.get(task.id)) is StoreUnavailable

        await server.start()
        assert await repository.get(task.id) == task
        await repository.aclose()


async def test_data_survive_a_change_of_port(tmp_path: Path) -> None:
    """The replica set gets its new address: a data folder is not bound to a port."""
    task = a_task()
    ports = set()
    for _ in range(2):
        async with running(MongoServer(tmp_path, port=free_port())) as server:
            ports.add(server.port)
            repository = MongoTaskRepository(connect_mongo(server.url))
            if len(ports) == 1:
                await repository.add(task, {})
            assert await repository.get(task.id) == task
            await repository.aclose()

    assert len(ports) == 2
