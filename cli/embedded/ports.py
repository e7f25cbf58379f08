"""TCP ports on loopback: a free one, and whether a server answers on one."""

import asyncio
import socket
from typing import Final

from cli.embedded.start_errors import PortInUse

LOOPBACK: Final = "127.0.0.1"


def free_port() -> int:
    """A port of loopback that is free now; another process may take it later."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])


def check_port(server: str, port: int) -> None:
    """
    Check that the port is free.

    Raises:
        PortInUse: It is in use; names the server that needs it.
    """
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError as error:
        raise PortInUse(f"port {port} is in use; choose another port for {server}") from error


async def accepts_connections(port: int) -> bool:
    """Whether a server accepts TCP connections on the port."""
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


async def answers_ping(port: int) -> bool:
    """Whether a Redis server on the port answers PING within 1 s."""
    try:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return await asyncio.wait_for(reader.readline(), timeout=1.0) == b"+PONG\r\n"
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
