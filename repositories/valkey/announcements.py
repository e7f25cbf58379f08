"""Announcements by Redis publish and subscribe: one channel for all tasks, one subscription per process."""

import asyncio
from contextlib import AbstractContextManager
from typing import Any, Final

import structlog
from arq.connections import ArqRedis
from redis.exceptions import RedisError

from repositories.listeners import Listeners
from repositories.valkey.connection import queue_errors

CHANNEL: Final = "polyrelay:announced"
_LOOK_S: Final = 5.0
_PAUSE_S: Final = 1.0

log = structlog.get_logger(__name__)


class RedisAnnouncements:
    """
    Adapter of `Announcements`. A message is the id of a task.

    Args:
        redis: The client.
    """

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis
        self._listeners = Listeners()

    async def announce(self, task_id: str) -> None:
        """As `Announcements.announce`."""
        with queue_errors(self._redis):
            await self._redis.publish(CHANNEL, task_id)

    def listening(self, task_id: str) -> AbstractContextManager[asyncio.Event]:
        """As `Announcements.listening`."""
        return self._listeners.listening(task_id)

    async def run(self) -> None:
        """As `Announcements.run`; subscribes again while Redis is unavailable."""
        while True:
            try:
                await self._receive()
            except (RedisError, OSError) as error:
                log.warning("announcements_unavailable", reason=type(error).__name__, again_after_s=_PAUSE_S)
                await asyncio.sleep(_PAUSE_S)

    async def _receive(self) -> None:
        async with self._redis.pubsub() as channel:
            await channel.subscribe(CHANNEL)
            while True:
                message: dict[str, Any] | None = await channel.get_message(timeout=_LOOK_S)
                if message is None:
                    continue
                if message["type"] == "subscribe":
                    self._listeners.notify_all()  # announcements before the subscription were missed
                elif message["type"] == "message":
                    self._listeners.notify(message["data"].decode())
