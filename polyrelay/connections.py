"""
HTTP connection pool for httpx: connections stay open and are reused, the last used one first.

httpx's own pool scans all of its connections, some of them once per other connection, whenever a request begins and
ends; with fifty connections the scan takes longer than a request. The connections themselves are httpcore's.
"""

import asyncio
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TypeAlias
from urllib.request import getproxies

import httpcore
import httpx

_Origin: TypeAlias = tuple[bytes, bytes, int]


def connections(limits: httpx.Limits) -> httpx.AsyncBaseTransport | None:
    """A pool for a client, or None where the environment names a proxy: httpx's own transport supports proxies."""
    return None if {"http", "https", "all"} & getproxies().keys() else Connections(limits)


@cache
def default_tls() -> ssl.SSLContext:
    """The machine's trusted certificates. Loading them is slow, so it is done once, at the first use."""
    return httpx.create_ssl_context()


class Connections(httpx.AsyncBaseTransport):
    """
    A pool of connections to any number of servers.

    Args:
        limits: As in httpx: the number of connections, the number of idle connections to one server, and the seconds
            for which a connection may be idle.
        tls: Returns the trusted certificates.
    """

    def __init__(self, limits: httpx.Limits, *, tls: Callable[[], ssl.SSLContext] = default_tls) -> None:
        self._slots = None if limits.max_connections is None else asyncio.Semaphore(limits.max_connections)
        self._most_idle = limits.max_keepalive_connections
        self._idle_s = limits.keepalive_expiry
        self._tls = tls
        self._idle: defaultdict[_Origin, deque[httpcore.AsyncHTTPConnection]] = defaultdict(deque)
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """
        Send a request and read the head of the answer.

        Raises:
            httpx.TransportError: The same classes as httpx's own transport.
        """
        if request.url.scheme not in {"http", "https"}:
            raise httpx.UnsupportedProtocol(f"there are no connections for {request.url.scheme!r}")
        with _httpx_errors():
            await self._wait_for_slot(request.extensions.get("timeout", {}).get("pool"))
            try:
                plain = _plain(request)
                connection, response = await self._sent(plain)
            except BaseException:
                self._free_slot()
                raise
        body = _Body(response, lambda: self._done_with(connection, plain.url.origin))
        return httpx.Response(response.status, headers=response.headers, stream=body, extensions=response.extensions)

    async def aclose(self) -> None:
        """Close the idle connections now, and each other connection when its request has ended."""
        self._closed = True
        for idle in self._idle.values():
            while idle:
                await idle.pop().aclose()

    async def _wait_for_slot(self, timeout_s: float | None) -> None:
        if self._slots is None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._slots.acquire()
        except TimeoutError as error:
            raise httpx.PoolTimeout("all connections are in use") from error

    def _free_slot(self) -> None:
        if self._slots is not None:
            self._slots.release()

    async def _sent(self, request: httpcore.Request) -> tuple[httpcore.AsyncHTTPConnection, httpcore.Response]:
        while True:
            connection = await self._unused(request.url.origin)
            try:
                return connection, await connection.handle_async_request(request)
            except httpcore.ConnectionNotAvailable:  # nothing was sent
                await connection.aclose()
            except BaseException:
                if not connection.is_closed():
                    await connection.aclose()
                raise

    async def _unused(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        """The idle connection that was used last and that its server did not close, or a new one."""
        idle = self._idle[_key(origin)]
        while idle:
            connection = idle.pop()
            if connection.is_available() and not connection.has_expired():
                return connection
            await connection.aclose()
        tls = self._tls() if origin.scheme == b"https" else None
        return httpcore.AsyncHTTPConnection(origin, ssl_context=tls, keepalive_expiry=self._idle_s)

    async def _done_with(self, connection: httpcore.AsyncHTTPConnection, origin: httpcore.Origin) -> None:
        self._free_slot()
        if not connection.is_idle() or connection.is_closed():
            return
        if self._closed:
            await connection.aclose()
            return
        idle = self._idle[_key(origin)]
        idle.append(connection)
        if idle[0].has_expired() or (self._most_idle is not None and len(idle) > self._most_idle):
            await idle.popleft().aclose()


class _Body(httpx.AsyncByteStream):
    """The body of an answer. Closing it makes the connection available again."""

    def __init__(self, response: httpcore.Response, done: Callable[[], Awaitable[None]]) -> None:
        self._response = response
        self._done: Callable[[], Awaitable[None]] | None = done

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _httpx_errors():
            async for part in self._response.aiter_stream():
                yield part

    async def aclose(self) -> None:
        """Close the body; a second call does nothing."""
        done, self._done = self._done, None
        if done is None:
            return
        try:
            with _httpx_errors():
                await self._response.aclose()
        finally:
            await done()


@contextmanager
def _httpx_errors() -> Iterator[None]:
    """Translate httpcore's errors; httpx has a class of the same name for each of them."""
    try:
        yield
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, httpcore.ProxyError) as error:
        raise getattr(httpx, type(error).__name__, httpx.TransportError)(str(error)) from error


def _plain(request: httpx.Request) -> httpcore.Request:
    url = httpcore.URL(
        scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path
    )
    return httpcore.Request(
        request.method, url, headers=request.headers.raw, content=request.stream, extensions=request.extensions
    )


def _key(origin: httpcore.Origin) -> _Origin:
    return origin.scheme, origin.host, origin.port
