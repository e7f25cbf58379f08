"""
Load generator: one process, raw sockets, persistent connections with one request at a time.

A client library would need more processor time than the measured server.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from benchmarks.series import percentile

_LONGEST_WAIT_S: Final = 60.0


class Load(Struct, frozen=True, kw_only=True):
    """
    The result of one run.

    Attributes:
        connections: Number of concurrent requests.
        requests: Good responses within the measured time.
        seconds: The measured time.
        failed: Responses with another status than the expected one; they are not in `requests`.
        p50_ms: Median of the response times, in milliseconds.
        p99_ms: 99th percentile of the response times, in milliseconds.
    """

    connections: int
    requests: int
    seconds: float
    failed: int
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Good responses per second."""
        return self.requests / self.seconds


class Endpoint(Struct, frozen=True, kw_only=True):
    """
    A URL, and the body that is posted to it.

    Attributes:
        expected: Status of a good response.
    """

    url: str
    body: bytes
    headers: Mapping[str, str] = {}
    expected: int = 201


async def post_load(endpoint: Endpoint, *, connections: int, seconds: float, warm_up_s: float = 0.5) -> Load:
    """
    Post that body repeatedly, and count the responses after the warm-up.

    Raises:
        ConnectionError: The server closed a connection.
        TimeoutError: The last responses did not come.
    """
    address = urlsplit(endpoint.url)
    request = _request(address.path, address.netloc, endpoint)
    loop = asyncio.get_running_loop()
    begins = time.perf_counter() + warm_up_s
    callers = [_Caller(request, endpoint.expected, begins, begins + seconds) for _ in range(connections)]
    for caller in callers:
        await loop.create_connection(lambda caller=caller: caller, address.hostname or "", address.port or 80)  # type: ignore[misc]
    async with asyncio.timeout(warm_up_s + seconds + _LONGEST_WAIT_S):
        await asyncio.gather(*(caller.ended for caller in callers))
    return _load(callers, seconds)


class _Caller(asyncio.Protocol):
    """One connection: sends the next request as soon as the response to the last one is complete."""

    def __init__(self, request: bytes, expected: int, begins: float, ends: float) -> None:
        self.took_s: list[float] = []
        self.failed = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._good = b" %d " % expected
        self._begins = begins
        self._ends = ends
        self._received = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Read a part of a response."""
        self._received = received = self._received + data if self._received else data
        head = received.find(b"\r\n\r\n")
        if head < 0 or len(received) < head + 4 + _content_length(received[:head]):
            return
        self._received = b""
        now = time.perf_counter()
        if self._begins <= now < self._ends:
            if received.startswith(self._good, 8):
                self.took_s.append(now - self._sent)
            else:
                self.failed += 1
        if now < self._ends:
            self._send()
            return
        self.ended.set_result(None)
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Either side closed the connection."""
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionError("the server closed the connection"))

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)  # type: ignore[attr-defined]


def _request(path: str, host: str, endpoint: Endpoint) -> bytes:
    given = {"Host": host, "Content-Type": "application/json", "Content-Length": str(len(endpoint.body))}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in {**given, **endpoint.headers}.items())]
    return "\r\n".join([*lines, "", ""]).encode() + endpoint.body


def _content_length(head: bytes) -> int:
    start = head.lower().find(b"content-length:")
    return 0 if start < 0 else int(head[start + 15 :].split(b"\r\n", 1)[0])


def _load(callers: Sequence[_Caller], seconds: float) -> Load:
    took = sorted(took_s for caller in callers for took_s in caller.took_s)
    return Load(
        connections=len(callers),
        requests=len(took),
        seconds=seconds,
        failed=sum(caller.failed for caller in callers),
        p50_ms=percentile(took, 0.5) * 1000 if took else 0.0,
        p99_ms=percentile(took, 0.99) * 1000 if took else 0.0,
    )
