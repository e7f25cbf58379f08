"""An empty Valkey for engines, whose pauses are short."""

from collections.abc import AsyncIterator

import pytest
from arq.connections import ArqRedis

from repositories.queue import connect_queue


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses after trouble are short."""
    monkeypatch.setattr("worker.engine._PAUSE_S", 0.05)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[ArqRedis]:
    """An empty Valkey."""
    redis = connect_queue(redis_url)
    yield redis
    await redis.aclose()
