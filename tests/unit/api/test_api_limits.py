"""The limits of keys as callers meet them, with the settings of the page that explains them."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from msgspec import structs

from api.app import build_app
from core.attempts import Failure
from core.callers import Caller, Role
from core.settings import Settings, read_settings
from core.task_states import State
from polyrelay import TaskType
from services.access.api_keys import KeyOrder
from services.limits.task_quotas import release_quotas
from tests.unit.api.api_fixture import GOOD, NOW, ApiFixture, failed
from tests.unit.api.callers import ASKING, Callers, Who, api_keys_of, asking, callers_of

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "limits.md"
Client = AsyncTestClient[Litestar]


@pytest.fixture
def one_at_a_time(tmp_path: Path) -> Settings:
    """The settings of the page for one task per key at a time."""
    path = tmp_path / ".env"
    path.write_text(re.findall(r"```ini\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[-1])
    reported = read_settings({}, dotenv=path)
    names = ("key_max_concurrent", "key_max_queue", "upstream_max_concurrent", "upstream_max_queue")
    return structs.replace(ASKING, **{name: getattr(reported, name) for name in names})


@pytest.fixture
async def callers(api: ApiFixture) -> Callers:
    """Those who have a key."""
    return await callers_of(api)


@pytest.fixture
async def client(api: ApiFixture, one_at_a_time: Settings) -> AsyncIterator[Client]:
    """Of a server that takes one task of each key at a time."""
    async with AsyncTestClient(build_app(api.adapters(), one_at_a_time), raise_server_exceptions=False) as client:
        yield client


async def test_a_keys_second_task_is_refused_at_once_and_another_keys_is_not(
    client: Client, api: ApiFixture, callers: Callers
) -> None:
    """Until the first has ended; the refusal says when to come back and stores nothing."""
    app, other = callers.headers(Who.APP), callers.headers(Who.OTHER)
    first = await client.post("/api/v1/ai/image/task", json=GOOD, headers=app)
    second = await client.post("/api/v1/ai/image/task", json=GOOD, headers=app)
    another = await client.post("/api/v1/ai/image/task", json=GOOD, headers=other)

    assert [answer.status_code for answer in (first, second, another)] == [201, 429, 201]
    assert second.json()["error"]["code"] == "too_many_tasks"
    assert int(second.headers["retry-after"]) > 0
    assert (await client.get("/api/v1/ai/tasks", headers=app)).json()["data"]["total"] == 1

    task = await api.tasks.get(first.json()["data"]["task_id"])
    assert task.key_max_concurrent == 1
    await api.tasks.save(ended := task.to(State.FAILED, now=NOW))
    await release_quotas(api.quotas, ended)
    assert (await client.post("/api/v1/ai/image/task", json=GOOD, headers=app)).status_code == 201


async def test_a_keys_own_limits_hold_for_what_it_retries(api: ApiFixture) -> None:
    """A retry counts as a new task does: without room the task stays as it is."""
    key = await api_keys_of(api).create(KeyOrder(owner="shop", max_concurrent=1, max_queue=0))
    headers = {"Authorization": f"Bearer {key.secret.reveal()}"}
    old = await api.stored(structs.replace(failed(Failure(code="overloaded", message="too many")), owner="shop"))
    async with asking(api) as client:
        new = await client.post("/api/v1/ai/image/task", json=GOOD, headers=headers)
        refused = await client.post(f"/api/v1/ai/task/{old.id}/retry", headers=headers)
        assert (new.status_code, refused.status_code) == (201, 429)
        assert (await api.tasks.get(old.id)).state is State.FAILED

        await client.post(f"/api/v1/ai/task/{new.json()['data']['task_id']}/cancel", headers=headers)
        assert (await client.post(f"/api/v1/ai/task/{old.id}/retry", headers=headers)).status_code == 200


async def test_a_hundred_wait_beside_the_one_that_is_open(client: Client, callers: Callers) -> None:
    """The hundred and second task of a provider is refused, whose ever it is."""
    create = client.app.state.use_cases.create
    for number in range(101):
        await create(TaskType.IMAGE, GOOD, Caller(role=Role.APP, owner=f"owner {number}"))

    refused = await client.post("/api/v1/ai/image/task", json=GOOD, headers=callers.headers(Who.APP))
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api/v1/ai/image/task", 408), ("/?Action=CVSync2AsyncSubmitTask&Version=2022-08-31", 400), ("/v1/submit", 400)],
)
async def test_a_body_that_does_not_arrive_is_the_callers_failure(
    api: ApiFixture, callers: Callers, path: str, status: int
) -> None:
    """In the shape of each route; the vendor's API reports it as a wrong request."""

    async def never_ending() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Future()

    app = build_app(api.adapters(), structs.replace(ASKING, request_timeout_s=0.01))
    headers = {**callers.headers(Who.APP), "Content-Type": "application/json"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(cast(Any, app)), base_url="http://relay") as client:
        answer = await client.post(path, content=never_ending(), headers=headers)

    assert answer.status_code == status, answer.text
