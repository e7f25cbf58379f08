"""The API as a process, on a real MongoDB and a real Valkey."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from cli.embedded.ports import free_port
from cli.embedded.servers import MongoServer, ValkeyServer
from core.attempts import Failure
from core.task_states import State
from repositories.mongodb.client import connect_mongo
from repositories.mongodb.tasks import MongoTaskRepository
from tests.integration.api.conftest import Serve, Start

TEXT = {"provider": "volcengine", "model": "doubao-pro-4k", "user_id": "ada", "prompt": "a haiku"}
CREATE = "/api/v1/ai/text/task"
NOBODY = "redis://127.0.0.1:{}/0"


async def created(client: httpx.AsyncClient) -> str:
    """The id of a new task."""
    response = await client.post(CREATE, json=TEXT)
    assert response.status_code == 201, response.text
    task_id: str = response.json()["data"]["task_id"]
    return task_id


async def test_a_task_lives_in_mongodb_and_its_wake_in_valkey(
    serve: Serve, mongo_database_url: str, redis_url: str
) -> None:
    """A created task is stored with its input, one wake is queued, and the task can be read, listed and deleted."""
    async with serve(MONGO_URL=mongo_database_url, REDIS_URL=redis_url) as client:
        assert (await client.get("/ready")).status_code == 200
        task_id = await created(client)

        tasks = MongoTaskRepository(connect_mongo(mongo_database_url))
        assert (await tasks.get_input(task_id))["prompt"] == "a haiku"
        async with Redis.from_url(redis_url) as redis:
            assert any(task_id.encode() in value for value in await _values(redis))
        await tasks.aclose()

        assert (await client.get(f"/api/v1/ai/task/result/{task_id}")).json()["data"]["status"] == "pending"
        assert (await client.get("/api/v1/ai/tasks?user_id=ada")).json()["data"]["total"] == 1
        assert (await client.delete(f"/api/v1/ai/task/{task_id}")).status_code == 200
        assert (await client.get(f"/api/v1/ai/task/result/{task_id}")).status_code == 404


async def test_a_task_is_cancelled_failed_and_retried(serve: Serve, mongo_database_url: str, redis_url: str) -> None:
    """Cancelling before a worker came ends it; a failed task is put back; the gates are asked in the real Valkey."""
    async with serve(MONGO_URL=mongo_database_url, REDIS_URL=redis_url) as client:
        task_id = await created(client)
        cancelled = await client.post(f"/api/v1/ai/task/{task_id}/cancel")
        assert (cancelled.status_code, cancelled.json()["data"]["cancel"]) == (200, "cancelled")

        tasks = MongoTaskRepository(connect_mongo(mongo_database_url))
        other = await tasks.get(await created(client))
        await tasks.save(other.to(State.FAILED, now=other.created, failure=Failure(code="overloaded", message="full")))
        retried = await client.post(f"/api/v1/ai/task/{other.id}/retry")
        assert (retried.status_code, retried.json()["data"]["status"]) == (200, "pending")
        assert (await tasks.get(other.id)).state is State.PENDING
        await tasks.aclose()

        metrics = await client.get("/metrics")
        assert (metrics.status_code, "# TYPE polyrelay_gate_held gauge" in metrics.text) == (200, True)


async def test_a_full_queue_is_a_429(serve: Serve, mongo_database_url: str, redis_url: str) -> None:
    """Beyond UPSTREAM_MAX_QUEUE nothing is stored, until there is room again."""
    async with serve(MONGO_URL=mongo_database_url, REDIS_URL=redis_url, UPSTREAM_MAX_QUEUE="2") as client:
        first, _ = await created(client), await created(client)

        response = await client.post(CREATE, json=TEXT)

        assert (response.status_code, response.json()["error"]["code"]) == (429, "queue_full")
        assert response.headers["retry-after"]
        await client.post(f"/api/v1/ai/task/{first}/cancel")
        await created(client)


async def test_an_upload_of_many_megabytes_is_a_task(serve: Serve, mongo_database_url: str, redis_url: str) -> None:
    """An input larger than one document of MongoDB is stored whole, up to the limit on bodies."""
    prompt = "é" * (9 * 2**20)
    async with serve(MONGO_URL=mongo_database_url, REDIS_URL=redis_url) as client:
        response = await client.post(CREATE, json={**TEXT, "prompt": prompt})
        task_id = response.json()["data"]["task_id"]

    tasks = MongoTaskRepository(connect_mongo(mongo_database_url))
    assert (await tasks.get_input(task_id))["prompt"] == prompt
    await tasks.aclose()


async def test_an_oversize_body_gets_its_answer(serve: Serve, mongo_database_url: str, redis_url: str) -> None:
    """A body over the limit is a 413 that reaches the caller, with and without a Content-Length."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 2**16

    async with serve(MONGO_URL=mongo_database_url, REDIS_URL=redis_url, MAX_BODY_BYTES="1MiB") as client:
        headers = {"Content-Type": "application/json"}
        for content in (b"x" * (40 * 2**16), pieces()):
            response = await client.post(CREATE, content=content, headers=headers)
            assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")
        await created(client)


async def test_without_valkey_tasks_are_accepted(serve: Serve, mongo_database_url: str) -> None:
    """An API that finds no Valkey starts, says so at /ready, and takes tasks."""
    async with serve(MONGO_URL=mongo_database_url, REDIS_URL=NOBODY.format(free_port())) as client:
        ready = await client.get("/ready")
        assert ready.status_code == 503
        assert [name for name, found in ready.json()["dependencies"].items() if not found["ok"]] == ["queue"]
        await created(client)


async def test_a_valkey_that_becomes_unavailable_takes_no_task_with_it(
    serve: Serve, mongo_database_url: str, tmp_path: Path
) -> None:
    """A Valkey that stops while the API runs changes nothing for callers who create tasks."""
    valkey = ValkeyServer(tmp_path / "valkey")
    await valkey.start()
    try:
        async with serve(MONGO_URL=mongo_database_url, REDIS_URL=valkey.url) as client:
            await created(client)
            await valkey.stop()

            task_id = await created(client)

            assert (await client.get(f"/api/v1/ai/task/result/{task_id}")).status_code == 200
    finally:
        await valkey.stop()


async def test_a_mongodb_that_becomes_unavailable_is_a_503(serve: Serve, redis_url: str, tmp_path: Path) -> None:
    """A MongoDB that stops while the API runs: nothing is queued, callers hear when to come back, /health stays."""
    mongo = MongoServer(tmp_path / "mongo")
    await mongo.start()
    try:
        async with (
            serve(MONGO_URL=_hasty(mongo.url), REDIS_URL=redis_url) as client,
            Redis.from_url(redis_url) as redis,
        ):
            await created(client)
            before = await _values(redis)
            await mongo.stop()

            response = await client.post(CREATE, json=TEXT)

            assert (response.status_code, response.json()["error"]["code"]) == (503, "store_unavailable")
            assert response.headers["retry-after"]
            assert "127.0.0.1" not in response.text
            assert await _values(redis) == before
            assert (await client.get("/health")).status_code == 200
            assert (await client.get("/ready")).status_code == 503
    finally:
        await mongo.stop()


async def test_an_api_without_mongodb_does_not_start(start: Start) -> None:
    """The process ends with one sentence: the setting, the host and the way out; no password, no trace."""
    port = free_port()
    url = f"mongodb://ada:hunter2@127.0.0.1:{port}/polyrelay"
    async with start(MONGO_URL=_hasty(url), REDIS_URL=NOBODY.format(free_port()), LOG_FORMAT="json") as (process, _):
        output = (await process.communicate())[0].decode()

    assert process.returncode != 0
    for words in ("MONGO_URL", f"127.0.0.1:{port}", "polyrelay dev"):
        assert words in output
    assert "hunter2" not in output
    assert "Traceback" not in output
    assert "litestar" not in output


@pytest.mark.parametrize(
    ("setting", "value"),
    [("MONGO_URL", "mysql://root:hunter2@db"), ("REDIS_URL", "hunter2"), ("MAX_BODY_BYTES", "much")],
)
async def test_a_wrong_setting_stops_the_start(start: Start, setting: str, value: str) -> None:
    """The process names the setting and what is allowed, without a secret's value and without a trace."""
    async with start(**{setting: value}) as (process, _):
        output = (await process.communicate())[0].decode()

    assert process.returncode != 0
    assert f"{setting}=" in output
    assert "hunter2" not in output
    assert "Traceback" not in output


def _hasty(url: str) -> str:
    """A MongoDB that is given up on after half a second."""
    return f"{url}{'&' if '?' in url else '?'}serverSelectionTimeoutMS=500"


async def _values(redis: Redis) -> list[bytes]:
    """All texts in Valkey."""
    keys = sorted(await redis.keys("*"))
    return keys + [value for key in keys if await redis.type(key) == b"string" and (value := await redis.get(key))]
