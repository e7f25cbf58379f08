"""`RedisAnnouncements` on a real Valkey, each side with connections of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from cli.embedded.ports import free_port
from cli.embedded.servers import ValkeyServer
from core.errors import QueueUnavailable
from repositories.valkey.announcements import RedisAnnouncements
from repositories.valkey.connection import connect_queue
from tests.contracts.announcements import ONE, AnnouncementsContract, heard
from tests.servers import running


async def received(announcements: RedisAnnouncements) -> "asyncio.Task[None]":
    """A task that receives announcements, once it is subscribed."""
    with announcements.listening(ONE) as event:
        receiving = asyncio.create_task(announcements.run())
        await heard(event)  # as everybody is told when it begins
    return receiving


async def ended(receiving: "asyncio.Task[None]") -> None:
    """Stop receiving."""
    receiving.cancel()
    with suppress(asyncio.CancelledError):
        await receiving


@pytest.fixture
async def worker(redis_url: str) -> AsyncIterator[RedisAnnouncements]:
    """The side that announces and does not listen."""
    redis = connect_queue(redis_url)
    yield RedisAnnouncements(redis)
    await redis.aclose()


@pytest.fixture
async def api(redis_url: str) -> AsyncIterator[RedisAnnouncements]:
    """The side that listens."""
    redis = connect_queue(redis_url)
    announcements = RedisAnnouncements(redis)
    receiving = await received(announcements)
    yield announcements
    await ended(receiving)
    await redis.aclose()


class TestRedisAnnouncements(AnnouncementsContract):
    """`RedisAnnouncements` keeps the contract."""


async def test_listeners_in_all_processes_are_notified(
    worker: RedisAnnouncements, api: RedisAnnouncements, redis_url: str
) -> None:
    """The API process that holds the request is notified, whichever it is."""
    redis = connect_queue(redis_url)
    another = RedisAnnouncements(redis)
    receiving = await received(another)
    with api.listening(ONE) as one, another.listening(ONE) as other:
        await worker.announce(ONE)
        await heard(one)
        await heard(other)
    await ended(receiving)
    await redis.aclose()


async def test_a_redis_that_came_back_is_subscribed_again(tmp_path: Path) -> None:
    """A listener is notified when announcements may have been missed, and of later ones."""
    async with running(ValkeyServer(tmp_path, port=free_port())) as server:
        redis = connect_queue(server.url)
        announcements = RedisAnnouncements(redis)
        receiving = await received(announcements)
        with announcements.listening(ONE) as event:
            await server.stop()
            event.clear()
            await server.start()
            await heard(event)
            await announcements.announce(ONE)
            await heard(event)
        await ended(receiving)
        await redis.aclose()


async def test_an_unavailable_redis_raises_queue_unavailable() -> None:
    """The worker logs it and continues."""
    redis = connect_queue(f"redis://127.0.0.1:{free_port()}/0", connect_timeout_s=0.2)

    with pytest.raises(QueueUnavailable):
        await RedisAnnouncements(redis).announce(ONE)
    await redis.aclose()
