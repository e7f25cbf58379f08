"""Group commit: requests of the same moment share one write, and each caller gets its own outcome."""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, NamedTuple, TypeAlias, TypeVar

T = TypeVar("T")
R = TypeVar("R")

Commit: TypeAlias = Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]]
"""Writes items and returns an outcome for each, in their order: a result, or the error of that item alone."""


class _Entry(NamedTuple, Generic[T, R]):
    item: T
    size_bytes: int
    outcome: "asyncio.Future[R]"


class GroupCommit(Generic[T, R]):
    """
    Shares one write among its callers.

    While fewer than `at_once` writes are running, an item is written at once, together with those of the same turn of
    the event loop; no item waits for others to join it. Otherwise it is in the next write.

    The cancellation of a caller does not affect the others. Its item is left out if the write has not begun; otherwise
    the item is written, and its outcome is dropped.

    Args:
        commit: The write. What it raises is the outcome of each of its items.
        most: Maximum number of items in one write.
        most_bytes: Maximum number of bytes in one write; a single item may be larger.
        at_once: Maximum number of concurrent writes.
    """

    def __init__(self, commit: Commit[T, R], *, most: int, most_bytes: float = math.inf, at_once: int = 1) -> None:
        self._commit = commit
        self._most = most
        self._most_bytes = most_bytes
        self._waiting: deque[_Entry[T, R]] = deque()
        self._at_once = at_once
        self._writers: set[asyncio.Task[None] | None] = set()

    async def __call__(self, item: T, *, size_bytes: int = 0) -> R:
        """
        Write the item and return its outcome.

        Raises:
            Exception: What `commit` returned for it, or raised.
        """
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[R] = loop.create_future()
        self._waiting.append(_Entry(item, size_bytes, outcome))
        if len(self._writers) < self._at_once:
            # Without the first caller's context variables: they are bound to its request.
            self._writers.add(loop.create_task(self._write(), context=Context()))
        return await outcome

    async def _write(self) -> None:
        try:
            while batch := self._next():
                await self._write_batch(batch)
        finally:
            self._writers.discard(asyncio.current_task())
            while self._waiting:  # this task was cancelled: the event loop ends
                self._waiting.popleft().outcome.cancel()

    async def _write_batch(self, batch: Sequence[_Entry[T, R]]) -> None:
        outcomes: Sequence[R | Exception]
        try:
            outcomes = await self._commit([entry.item for entry in batch])
        except Exception as error:  # it is the outcome of each of these items
            outcomes = [error] * len(batch)
        except BaseException:
            for entry in batch:
                entry.outcome.cancel()
            raise
        for entry, outcome in zip(batch, outcomes, strict=True):
            if entry.outcome.done():  # its caller was cancelled
                continue
            if isinstance(outcome, Exception):
                entry.outcome.set_exception(outcome)
            else:
                entry.outcome.set_result(outcome)

    def _next(self) -> Sequence[_Entry[T, R]]:
        batch: list[_Entry[T, R]] = []
        left_bytes = self._most_bytes
        while self._waiting and len(batch) < self._most:
            if batch and self._waiting[0].size_bytes > left_bytes:
                break
            entry = self._waiting.popleft()
            if not entry.outcome.done():
                batch.append(entry)
                left_bytes -= entry.size_bytes
        return batch
