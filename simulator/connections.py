"""The client's end of the connection: close it under the answer, or wait as long as it is there."""

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
    """The connection is gone; nobody reads an answer. In process, where there is no socket, the client sees this."""


def cut(request: HttpRequest) -> None:
    """
    Close the request's TCP connection at once.

    ASGI has no word for it, and a raised error would be answered 500; so the server's own socket is looked up among
    the process' descriptors by the client's address and shut down.

    Raises:
        ConnectionClosed: Always.
    """
    client = request.client
    if client is not None:
        for descriptor in descriptors():
            _shut(descriptor, lambda in_memory: in_memory.getpeername()[:2] == (client.host, int(client.port)))
    raise ConnectionClosed


def cut_all(port: int) -> None:
    """Close every connection that clients have to this port."""
    for descriptor in descriptors():
        _shut(descriptor, lambda in_memory: in_memory.getsockname()[1] == port and bool(in_memory.getpeername()))


def descriptors() -> list[int]:
    """The process' open file descriptors."""
    return [int(entry.name) for entry in Path("/dev/fd").iterdir()]


def _shut(descriptor: int, chosen: Callable[[socket.socket], bool]) -> None:
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return
        with socket.socket(fileno=os.dup(descriptor)) as in_memory:
            if in_memory.family in {socket.AF_INET, socket.AF_INET6} and chosen(in_memory):
                in_memory.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # a descriptor that closed meanwhile, or a socket without a peer


async def hang(request: HttpRequest, seconds: float | None) -> None:
    """
    Wait; None waits for as long as the client does.

    Raises:
        ConnectionClosed: The client left.
    """
    left = asyncio.ensure_future(_departure(request))
    try:
        done, _ = await asyncio.wait({left}, timeout=seconds)
    finally:
        left.cancel()
    if done:
        raise ConnectionClosed


async def _departure(request: HttpRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
