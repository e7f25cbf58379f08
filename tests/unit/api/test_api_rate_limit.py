"""The rate limit of an API key, as callers meet it."""

from collections.abc import AsyncIterator

import pytest

from services.access.api_keys import KeyOrder
from tests.unit.api.api_fixture import ApiFixture
from tests.unit.api.callers import Client, api_keys_of, asking


@pytest.fixture
async def client(api: ApiFixture) -> AsyncIterator[Client]:
    """A caller whose key allows three requests per minute."""
    made = await api_keys_of(api).create(KeyOrder(requests_per_minute=3))
    async with asking(api) as client:
        client.headers["Authorization"] = f"Bearer {made.secret.reveal()}"
        yield client


async def test_beyond_its_limit_a_key_gets_a_429_with_retry_after(client: Client) -> None:
    """429 with Retry-After, whatever the key asks for."""
    paths = ["/api/v1/ai/models", "/api/v1/ai/tasks", "/api/v1/ai/task/result/task_x", "/api/v1/ai/models"]
    answers = [await client.get(path) for path in paths]

    assert [answer.status_code for answer in answers] == [200, 200, 404, 429]
    assert answers[-1].json()["error"]["code"] == "rate_limited"
    assert answers[-1].headers["retry-after"] == answers[-1].headers["ratelimit-reset"]


async def test_each_answer_says_what_is_left(client: Client) -> None:
    """Also one that refuses."""
    answers = [await client.get("/api/v1/ai/models") for _ in range(4)]

    names = ("ratelimit-limit", "ratelimit-remaining")
    assert [tuple(answer.headers[name] for name in names) for answer in answers] == [
        ("3", "2"),
        ("3", "1"),
        ("3", "0"),
        ("3", "0"),
    ]
    assert all(0 < int(answer.headers["ratelimit-reset"]) <= 60 for answer in answers)


async def test_what_is_refused_is_counted(client: Client) -> None:
    """By whose limit it is, and the code."""
    for _ in range(4):
        await client.get("/api/v1/ai/models")

    reported = (await client.get("/metrics")).text
    assert 'polyrelay_requests_refused_total{code="rate_limited",scope="key"} 1.0' in reported
