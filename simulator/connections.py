"""Client connections: close one in the middle of an answer, or wait until the client closes it."""

import asyncio
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from litestar import Request
from litestar.datastructures import State

HttpRequest = Request[Any, Any, State]


class ConnectionClosed(Exception):
    """The connection is closed and nobody reads the answer. A client in the same process, without a socket, gets it."""


def cut(request: HttpRequest) -> None:
    """
    Close the request's TCP connection at once.

    ASGI cannot close a connection, and an exception would be answered with 500. So this finds the server's socket among
    the descriptors of the process, by the client's address, and shuts it down.

    Raises:
        ConnectionClosed: Always.
    """
    client = request.client
    if client is not None:
        for descriptor in descriptors():
            _shut(descriptor, lambda copy: copy.getpeername()[:2] == (client.host, int(client.port)))
    raise ConnectionClosed


def cut_all(port: int) -> None:
    """Close every connection that clients have to this port."""
    for descriptor in descriptors():
        _shut(descriptor, lambda copy: copy.getsockname()[1] == port and bool(copy.getpeername()))


def descriptors() -> list[int]:
    """The open file descriptors of the process."""
    return [int(entry.name) for entry in Path("/dev/fd").iterdir()]


def _shut(descriptor: int, chosen: Callable[[socket.socket], bool]) -> None:
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return
        with socket.socket(fileno=os.dup(descriptor)) as copy:
            if copy.family in {socket.AF_INET, socket.AF_INET6} and chosen(copy):
                copy.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the descriptor was closed meanwhile, or the socket has no peer


async def hang(request: HttpRequest, seconds: float | None) -> None:
    """
    Wait for `seconds`, or with None until the client closes the connection.

    Raises:
        ConnectionClosed: The client closed the connection.
    """
    disconnected = asyncio.ensure_future(_disconnect(request))
    try:
        done, _ = await asyncio.wait({disconnected}, timeout=seconds)
    finally:
        disconnected.cancel()
    if done:
        raise ConnectionClosed


async def _disconnect(request: HttpRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
