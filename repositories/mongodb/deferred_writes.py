"""Deferred writes: small writes without a waiting caller, written in batches in the background."""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextvars import Context
from itertools import islice
from typing import Any, Final, TypeAlias

import structlog
from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from repositories.mongodb.task_documents import Document

Write: TypeAlias = "InsertOne[Document] | UpdateOne"

GATHER_S: Final = 0.1
"""Writes within this time go in one batch."""
MOST_AT_ONCE: Final = 500
MOST_WAITING: Final = 20_000
"""Pending writes while MongoDB is unavailable; further ones are lost."""
_PAUSE_S: Final = 1.0
_LAST_TRY_S: Final = 3.0
_DUPLICATE_KEY: Final = 11000

log = structlog.get_logger(__name__)


class DeferredWrites:
    """
    Writes to one collection, in the background. While MongoDB is unavailable, writes wait in memory.

    Args:
        collection: A collection of motor.
    """

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        self._waiting: deque[Write] = deque()
        self._writer: asyncio.Task[None] | None = None

    def write(self, write: Write) -> None:
        """Write it in the next batch. Never raises."""
        if len(self._waiting) >= MOST_WAITING:
            log.error("audit_write_lost", reason=f"{MOST_WAITING} writes are pending already")
            return
        self._waiting.append(write)
        if self._writer is None:
            # without the caller's context variables: they are bound to its request
            self._writer = asyncio.get_running_loop().create_task(self._run(), context=Context())

    async def aclose(self) -> None:
        """Write the pending writes, unless MongoDB is unavailable."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])
        try:
            async with asyncio.timeout(_LAST_TRY_S):
                while self._waiting:
                    await self._write_some()
        except (TimeoutError, PyMongoError) as error:
            log.warning("audit_write_lost", count=len(self._waiting), reason=type(error).__name__)

    async def _run(self) -> None:
        pause_s = GATHER_S
        try:
            while self._waiting:
                await asyncio.sleep(pause_s)
                pause_s = GATHER_S
                try:
                    await self._write_some()
                except PyMongoError as error:
                    log.warning("audit_write_delayed", count=len(self._waiting), reason=type(error).__name__)
                    pause_s = _PAUSE_S
        finally:
            self._writer = None

    async def _write_some(self) -> None:
        """Write the oldest ones. They leave the queue once each of them is written or refused."""
        some = list(islice(self._waiting, MOST_AT_ONCE))
        try:
            await self._collection.bulk_write(some, ordered=False)
        except BulkWriteError as error:
            _report_refused(error.details["writeErrors"])
        for _ in some:
            self._waiting.popleft()


def _report_refused(errors: Sequence[dict[str, Any]]) -> None:
    """Log refused writes. A duplicate key is not one: the row was written before, and the response was lost."""
    refused = [error for error in errors if error["code"] != _DUPLICATE_KEY]
    if refused:
        log.error("audit_write_lost", count=len(refused), code=refused[0]["code"])
