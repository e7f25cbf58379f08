"""Callers who take their time, or send too much: each holds a connection for so long and no longer."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from cli.embedded.processes import ChildProcess, own_environment, own_module
from cli.embedded.readiness import answers
from cli.embedded.servers import free_port

CREATE = b"POST /api/v1/ai/image/task HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\n"


@pytest.fixture
async def port(tmp_path: Path, mongo_database_url: str, redis_url: str) -> AsyncIterator[int]:
    """Of an API that waits for a second."""
    port = free_port()
    settings = {"MONGO_URL": mongo_database_url, "REDIS_URL": redis_url, "RESULTS_URL": str(tmp_path / "results")}
    process = ChildProcess(
        "api",
        own_module("cli", "api"),
        env={**own_environment(os.environ), **settings, "PORT": str(port), "AUTH": "none", "REQUEST_TIMEOUT_S": "1s"},
        log_file=tmp_path / "api.log",
        ready=answers(f"http://127.0.0.1:{port}/ready"),
        cwd=tmp_path,
    )
    await process.start()
    yield port
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


async def test_who_takes_too_long_or_sends_too_much_is_cut_off_and_others_are_served(port: int) -> None:
    """Heads and bodies that never end, heads that are too large: none holds its connection, and none is a 5xx."""
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
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        assert (await client.get("/health")).status_code == 200
