"""Callers who take their time, send too much, or keep a connection for later: others are served all the same."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import pytest

from cli.embedded.ports import free_port
from cli.embedded.processes import ChildProcess, own_environment, own_module
from cli.embedded.readiness import answers
from cli.serving import allow_files

CREATE = b"POST /api/v1/ai/image/task HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\n"


Settings = Mapping[str, str]


@pytest.fixture
def settings(tmp_path: Path, mongo_database_url: str, redis_url: str) -> Settings:
    """A caller of an API on real servers with `AUTH=none`."""
    stores = {"MONGO_URL": mongo_database_url, "REDIS_URL": redis_url, "RESULTS_URL": str(tmp_path / "results")}
    return {**own_environment(os.environ), **stores, "AUTH": "none", "PORT": str(free_port())}


@contextlib.asynccontextmanager
async def serving(settings: Settings, folder: Path) -> AsyncIterator[int]:
    """`polyrelay api`; gives its port."""
    port = int(settings["PORT"])
    process = ChildProcess(
        "api",
        own_module("cli", "api"),
        env=settings,
        log_file=folder / "api.log",
        ready=answers(f"http://127.0.0.1:{port}/ready"),
        cwd=folder,
    )
    await process.start()
    try:
        yield port
    finally:
        await process.stop()


async def answer_to(port: int, sent: bytes) -> bytes:
    """All that comes back until the connection is closed by the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), 30)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def health_of(port: int) -> int:
    """The status of a good caller's answer."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
        return (await client.get("/health")).status_code


async def kept_open(port: int) -> asyncio.StreamWriter:
    """A connection on which one request was answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: relay\r\n\r\n")
    assert b" 200 " in await reader.readline()
    await reader.readuntil(b"\r\n\r\n")
    return writer


async def test_who_takes_too_long_or_sends_too_much_is_cut_off_and_others_are_served(
    settings: Settings, tmp_path: Path
) -> None:
    """Heads and bodies that never end, heads that are too large: none holds its connection, and none is a 5xx."""
    async with serving({**settings, "REQUEST_TIMEOUT_S": "1s"}, tmp_path) as port:
        await _cut_off(port)
        assert await health_of(port) == 200


async def test_a_thousand_silent_connections_leave_room_for_others(settings: Settings, tmp_path: Path) -> None:
    """Clients keep connections for later; other requests do not wait until one is closed."""
    allow_files(2000)  # for the clients; many systems allow a process 1,024
    async with serving({**settings, "REQUEST_TIMEOUT_S": "60s"}, tmp_path) as port, asyncio.timeout(30):
        kept = [await kept_open(port) for _ in range(1100)]
        assert await health_of(port) == 200
        for writer in kept:
            writer.close()


async def _cut_off(port: int) -> None:
    slow_head, slow_body, chunked, long_header, many_headers = await asyncio.gather(
        answer_to(port, b"GET /health HTTP/1.1\r\nHost: relay\r\nX-Slow: "),
        answer_to(port, CREATE + b"Content-Length: 500\r\n\r\n{"),
        answer_to(port, CREATE + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"),
        answer_to(port, b"GET /health HTTP/1.1\r\nHost: relay\r\nX-Long: " + b"a" * 200_000 + b"\r\n\r\n"),
        answer_to(port, b"GET /health HTTP/1.1\r\nHost: relay\r\n" + b"X-Many: 1\r\n" * 200 + b"\r\n"),
    )

    assert b" 200 " not in slow_head
    for answer in (slow_body, chunked):
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert json.loads(body)["error"]["code"] == "request_timeout"
    for answer in (long_header, many_headers):
        assert not answer or answer.startswith(b"HTTP/1.1 431 ")
