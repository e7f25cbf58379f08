"""The bound on a key's requests, as callers meet it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from api.app import build_app
from core.callers import Caller, KeyLimits, Role
from core.settings import Settings
from tests.unit.api.api_fixture import ApiFixture, new_api_fixture

CALLER = Caller(role=Role.APP, owner="ow_1", limits=KeyLimits(requests_per_minute=3))


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Of an application that knows who calls it."""
    api: ApiFixture = new_api_fixture()
    app = build_app(api.adapters(), Settings(auth="none"))

    async def known(scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = {"caller": CALLER} if scope["path"].startswith("/api/") else {}
        await app(scope, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(known), base_url="http://relay") as client:
        yield client


async def test_beyond_its_limit_a_key_is_reported_to_come_back(client: httpx.AsyncClient) -> None:
    """429 with Retry-After, whatever the key asks for."""
    paths = ["/api/v1/ai/models", "/api/v1/ai/tasks", "/api/v1/ai/task/result/task_x", "/api/v1/ai/models"]
    answers = [await client.get(path) for path in paths]

    assert [answer.status_code for answer in answers] == [200, 200, 404, 429]
    assert answers[-1].json()["error"]["code"] == "rate_limited"
    assert answers[-1].headers["retry-after"] == answers[-1].headers["ratelimit-reset"]


async def test_each_answer_says_what_is_left(client: httpx.AsyncClient) -> None:
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


async def test_what_is_refused_is_counted(client: httpx.AsyncClient) -> None:
    """By whose limit it is, and the code."""
    for _ in range(4):
        await client.get("/api/v1/ai/models")

    reported = (await client.get("/metrics")).text
    assert 'polyrelay_requests_refused_total{code="rate_limited",scope="key"} 1.0' in reported
