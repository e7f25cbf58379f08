"""Real servers for tests that stop and start their own. Most tests use the shared ones of `tests/integration`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

from cli.embedded.server_process import EmbeddedServer

_S = TypeVar("_S", bound=EmbeddedServer)


@contextlib.contextmanager
def started(server: _S) -> Iterator[_S]:
    """Run the server during the block. For fixtures with a wider scope than a test's event loop."""
    _run(server.start())
    try:
        yield server
    finally:
        _run(server.stop())


@contextlib.asynccontextmanager
async def running(server: _S) -> AsyncIterator[_S]:
    """Run the server during the block. For use within a test."""
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def _run(work: Coroutine[Any, Any, None]) -> None:
    # Not asyncio.run: it unsets the thread's event loop, which pytest-asyncio manages.
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()
