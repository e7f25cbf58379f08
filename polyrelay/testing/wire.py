"""Scripted network: replaces every httpx transport, and refuses all other connections, while a check runs."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import httpx

from polyrelay.connections import Connections
from polyrelay.testing.talks import Reply, Turn


class Wire:
    """
    Answers each request that is sent with httpx with the next turn.

    Attributes:
        sent: The requests since the last call of `play`.
        surplus: The number of requests that came after the last turn.
        strays: Addresses of connections that were opened without httpx.
        latency_s: Time until each answer, in seconds.
    """

    def __init__(self) -> None:
        self.sent: list[httpx.Request] = []
        self.surplus = 0
        self.strays: list[str] = []
        self.latency_s = 0.0
        self._turns: list[Turn] = []

    def play(self, turns: Sequence[Turn]) -> None:
        """Answer with these turns from now on, and clear the recorded requests."""
        self._turns = list(turns)
        self.sent = []
        self.surplus = 0

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Replace the network inside the block."""
        wire = self

        async def handle_async_request(_: httpx.AsyncBaseTransport, request: httpx.Request) -> httpx.Response:
            await request.aread()
            await asyncio.sleep(wire.latency_s)
            return wire._answer(request)

        def handle_request(_: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
            request.read()
            time.sleep(wire.latency_s)
            return wire._answer(request)

        with ExitStack() as patches:
            for transport in (httpx.AsyncHTTPTransport, Connections):
                patches.enter_context(patch.object(transport, "handle_async_request", handle_async_request))
            patches.enter_context(patch.object(httpx.HTTPTransport, "handle_request", handle_request))
            patches.enter_context(patch.object(ssl, "create_default_context", _bare_context))
            patches.enter_context(patch.object(socket, "getaddrinfo", self._stray))
            patches.enter_context(patch.object(socket.socket, "connect", self._stray))
            patches.enter_context(patch.object(socket.socket, "connect_ex", self._stray))
            yield

    def _stray(self, *address: Any, **_: Any) -> Any:
        where = ":".join(str(part) for part in address if not isinstance(part, socket.socket))
        self.strays.append(where)
        raise ConnectionRefusedError(f"the conformance kit has no network; a connection to {where} was opened")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        if not self._turns:
            self.surplus += 1
            raise httpx.ConnectError("the talk has no further answer", request=request)
        turn = self._turns.pop(0)
        if isinstance(turn, Reply):
            return httpx.Response(turn.status, headers=_headers(turn), stream=_Body(turn.content), request=request)
        if turn.how == "cut_body":
            reply = turn.reply
            body = _Body(reply.content, then=turn.error(request))
            return httpx.Response(reply.status, headers=_headers(reply), stream=body, request=request)
        raise turn.error(request)


class _Body(httpx.AsyncByteStream, httpx.SyncByteStream):
    """A body in two pieces, or the first half of it followed by an error."""

    def __init__(self, content: bytes, then: Exception | None = None) -> None:
        half = len(content) // 2
        self._pieces = [content[:half]] if then is not None else [content[:half], content[half:]]
        self._then = then

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        if self._then is not None:
            raise self._then

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            await asyncio.sleep(0)
            yield piece


def _bare_context(*_: object, **__: object) -> ssl.SSLContext:
    """A context without certificates. Loading them takes 40 ms per client, and no connection is opened here."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _headers(reply: Reply) -> dict[str, str]:
    kind = {} if reply.json is None else {"content-type": "application/json"}
    return {**kind, **{name.lower(): value for name, value in reply.headers.items()}}
