"""The header `Idempotency-Key`."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.task_repository import TaskQuery
from core.task_states import State
from tests.unit.api.api_fixture import GOOD, NOW, ApiFixture
from tests.unit.api.callers import Who, asking, callers_of

Client = AsyncTestClient[Litestar]
CREATE = "/api/v1/ai/image/task"
KEY = {"Idempotency-Key": "order-4711"}


async def count(api: ApiFixture) -> int:
    """How many tasks there are."""
    return (await api.tasks.page(TaskQuery())).total


async def test_a_repeated_create_answers_the_same(client: Client, api: ApiFixture) -> None:
    """Body, status and Location to the byte, also when the task went on; a header says that it was there already."""
    first = await client.post(CREATE, json=GOOD, headers=KEY)
    task = await api.tasks.get(first.json()["data"]["task_id"])
    await api.tasks.save(task.to(State.FAILED, now=NOW))

    again = await client.post(CREATE, json=GOOD, headers=KEY)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert first.headers["location"] == again.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert await count(api) == 1


async def test_many_at_once_are_one_task(client: Client, api: ApiFixture) -> None:
    """All get the same answer, and one worker is woken once."""
    answers = await asyncio.gather(*(client.post(CREATE, json=GOOD, headers=KEY) for _ in range(50)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert await count(api) == 1
    assert len(api.queue.history) == 1


async def test_without_the_header_nothing_is_the_same(client: Client, api: ApiFixture) -> None:
    """Each create is a task."""
    for _ in range(2):
        await client.post(CREATE, json=GOOD)

    assert await count(api) == 2


async def test_another_body_is_a_422(client: Client, api: ApiFixture) -> None:
    """It says which header is wrong; a body with other blanks is another body, and so is one that is wrong itself."""
    await client.post(CREATE, content=b'{"provider":"lab","model":"painter","user_id":"a","prompt":"b"}', headers=KEY)

    for body in (b'{"provider": "lab","model":"painter","user_id":"a","prompt":"b"}', b'{"provider":"lab"}'):
        answer = await client.post(CREATE, content=body, headers=KEY)

        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (422, "idempotency_key_reused")
        assert [detail["field"] for detail in error["details"]] == ["Idempotency-Key"]
    assert await count(api) == 1


async def test_a_key_is_for_one_type_of_task(client: Client, api: ApiFixture) -> None:
    """The same key for a video is another key."""
    await client.post(CREATE, json=GOOD, headers=KEY)

    answer = await client.post("/api/v1/ai/video/task", json={**GOOD, "model": "filmer"}, headers=KEY)

    assert answer.status_code == 201
    assert await count(api) == 2


@pytest.mark.parametrize("key", ["x", "x" * 255, "!#$%&'*+-.^_`|~:/@[]{}()<>?=,;\\\"", "a,b"])
async def test_every_visible_ascii_character_may_be_in_a_key(client: Client, api: ApiFixture, key: str) -> None:
    """Up to 255 of them."""
    for _ in range(2):
        assert (await client.post(CREATE, json=GOOD, headers={"Idempotency-Key": key})).status_code == 201
    assert await count(api) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "a\tb", "\u00fc", "狐"])
async def test_any_other_key_is_a_422(client: Client, api: ApiFixture, key: str) -> None:
    """The error names the header, and nothing is created."""
    answer = await client.post(CREATE, json=GOOD, headers=[(b"Idempotency-Key", key.encode())])

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "invalid_request")
    assert error["details"][0]["field"] == "Idempotency-Key"
    assert "255" in error["details"][0]["message"]
    assert await count(api) == 0


async def test_two_keys_are_a_422(client: Client, api: ApiFixture) -> None:
    """It is not known which of them is meant."""
    headers = httpx.Headers([("Idempotency-Key", "a"), ("Idempotency-Key", "b")])

    answer = await client.post(CREATE, json=GOOD, headers=headers)

    assert answer.status_code == 422
    assert await count(api) == 0


async def test_an_error_is_not_kept(client: Client, api: ApiFixture) -> None:
    """A request that could not be stored is done when it is repeated."""
    api.tasks.reachable = False
    assert (await client.post(CREATE, json=GOOD, headers=KEY)).status_code == 503
    api.tasks.reachable = True

    answer = await client.post(CREATE, json=GOOD, headers=KEY)

    assert answer.status_code == 201
    assert "idempotency-replayed" not in answer.headers


async def test_a_repetition_needs_no_model(client: Client, api: ApiFixture) -> None:
    """A provider that was switched off since, or a model that is gone, does not matter to a stored task."""
    first = await client.post(CREATE, json=GOOD, headers=KEY)
    api.registry.providers = {}

    again = await client.post(CREATE, json=GOOD, headers=KEY)

    assert again.content == first.content


async def test_a_key_is_kept_for_a_day(client: Client, api: ApiFixture) -> None:
    """The record says until when."""
    answer = await client.post(CREATE, json=GOOD, headers=KEY)

    same = (await api.tasks.get(answer.json()["data"]["task_id"])).idempotency
    assert same is not None
    assert same.until == NOW + timedelta(hours=24)


async def test_a_repetition_is_counted_and_put_on_record_once(client: Client, api: ApiFixture) -> None:
    """There is one task, so there is one row of its creation, and one in the metrics."""
    for _ in range(3):
        await client.post(CREATE, json=GOOD, headers=KEY)

    metrics = (await client.get("/metrics")).text
    assert 'polyrelay_tasks_created_total{model="painter",provider="lab",type="image"} 1.0' in metrics
    assert len(api.audit.rows) == 1


async def test_callers_do_not_share_keys(api: ApiFixture) -> None:
    """The same key sent by another app is another key, and reveals nothing."""
    callers = await callers_of(api)
    async with asking(api) as caller:
        answers = [
            await caller.post(CREATE, json=GOOD, headers={**KEY, **callers.headers(who)})
            for who in (Who.APP, Who.OTHER, Who.APP)
        ]

    tasks = [answer.json()["data"]["task_id"] for answer in answers]
    assert tasks[0] == tasks[2] != tasks[1]
