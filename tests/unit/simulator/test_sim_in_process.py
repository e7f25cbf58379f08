"""A simulator inside the test's own process, without a socket."""

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest

from simulator.app import create_app
from simulator.settings import Credentials, Latencies, Settings


class Clock:
    """A clock that goes when told."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The simulator's time."""
    return Clock()


@pytest.fixture
async def client(clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app with keys and latencies of its own."""
    settings = Settings(credentials=Credentials(openai_key="sk-mine"), latencies=Latencies(video_s=100))
    app = create_app(settings, clock)
    headers = {"Authorization": "Bearer sk-mine"}
    transport = httpx.ASGITransport(cast("Any", app))
    async with httpx.AsyncClient(transport=transport, base_url="http://simulator", headers=headers) as client:
        yield client
    app.state.upstream.renderer.close()


async def test_phases_follow_the_clock_that_is_handed_in(client: httpx.AsyncClient, clock: Clock) -> None:
    """No waiting: the test moves the time."""
    video = (await client.post("/v1/videos", json={"prompt": "cat"})).json()
    seen = []
    for seconds in (0, 30, 70):
        clock.now += seconds
        answer = (await client.get(f"/v1/videos/{video['id']}")).json()
        seen.append((answer["status"], answer["progress"]))
    assert seen == [("queued", 0), ("in_progress", 30), ("completed", 100)]


async def test_two_apps_share_nothing(client: httpx.AsyncClient) -> None:
    """State lives in the app, not in the module."""
    video = (await client.post("/v1/videos", json={"prompt": "cat"})).json()
    other = create_app(Settings(credentials=Credentials(openai_key="sk-mine")))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(cast("Any", other)), base_url="http://other"
    ) as stranger:
        answer = await stranger.get(f"/v1/videos/{video['id']}", headers=client.headers)
    other.state.upstream.renderer.close()
    assert answer.status_code == 404
