"""Creates tasks over HTTP as fast as the connections allow, with little processor time in this process."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

_LONGEST_ANSWER_BYTES: Final = 65_536


async def create_tasks(api_url: str, kind: str, bodies: Iterator[Mapping[str, Any]], *, connections: int) -> list[str]:
    """
    Create one task for each body. Returns their ids, in no order.

    Args:
        kind: text, image or video.
        bodies: The request bodies, shared by all connections.
        connections: Number of concurrent requests.

    Raises:
        RuntimeError: A response was not 201; the text shows it.
    """
    ids: list[str] = []
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_create_in_turn(api_url, f"/api/v1/ai/{kind}/task", bodies, ids))
    return ids


async def _create_in_turn(url: str, path: str, bodies: Iterator[Mapping[str, Any]], ids: list[str]) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        for body in bodies:
            data = json.dumps(body).encode()
            head = f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
            ids.append(json.loads(await _answer(reader))["data"]["task_id"])
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    body = await reader.readexactly(min(int(lengths[0]), _LONGEST_ANSWER_BYTES))
    if not head.startswith(b"HTTP/1.1 201"):
        raise RuntimeError(f"{head.splitlines()[0].decode()}: {body.decode()[:500]}")
    return body
