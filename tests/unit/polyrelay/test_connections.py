"""Connections to a vendor over real sockets: reuse, limits, and connections that the vendor closed."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from polyrelay import OutcomeUnknown, VendorHttp
from polyrelay.connections import Connections, connections
from tests.unit.polyrelay.loopback import Loopback, Play, answering, response, silence

LIMITS = httpx.Limits(max_connections=8, max_keepalive_connections=4, keepalive_expiry=15.0)


@asynccontextmanager
async def client_of(limits: httpx.Limits = LIMITS, **timeouts: float) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a connection pool of its own."""
    timeout = httpx.Timeout(5.0, **timeouts)
    async with httpx.AsyncClient(transport=Connections(limits), timeout=timeout) as client:
        yield client


def meeting(number: int) -> Play:
    """Answers when the given number of requests has arrived, all at the same time."""
    together = asyncio.Barrier(number)

    async def play(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await together.wait()
        writer.write(response())

    return play


def mute(heard: asyncio.Event) -> Play:
    """Reads a request and never answers."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set()
        await silence(reader, writer)

    return play


async def test_a_vendors_connection_is_used_again() -> None:
    """A hundred sequential requests, submits and queries, use one connection."""
    async with Loopback(answering(response())).running() as vendor:
        http = VendorHttp("Acme", vendor.url)
        for _ in range(50):
            await http.submit("/make", json={"a": 1})
            await http.query("GET", "/look")
        await http.aclose()

    assert (len(vendor.requests), vendor.connections) == (100, 1)


async def test_requests_at_once_have_a_connection_each_and_leave_no_more() -> None:
    """Concurrent requests open one connection each; later ones reuse these, and surplus idle ones are closed."""
    async with Loopback(meeting(6)).running() as vendor, client_of() as client:
        for _ in range(2):
            await asyncio.gather(*(client.get(vendor.url) for _ in range(6)))

    assert vendor.connections == 6 + (6 - 4)


async def test_one_more_than_allowed_waits_for_a_connection() -> None:
    """A request beyond the limit waits for a connection, and fails after the pool time-out."""
    limits = httpx.Limits(max_connections=1)
    heard = asyncio.Event()
    async with Loopback(mute(heard)).running() as vendor, client_of(limits, pool=0.05) as client:
        first = asyncio.create_task(client.get(vendor.url))
        await heard.wait()
        with pytest.raises(httpx.PoolTimeout):
            await client.get(vendor.url)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)

    assert vendor.connections == 1


@pytest.mark.parametrize("end", ["cancel", "timeout", "refusal"])
async def test_a_request_that_fails_releases_its_slot(end: str) -> None:
    """A request releases its slot however it ends: cancelled, without an answer, or without a server."""
    limits, heard = httpx.Limits(max_connections=1), asyncio.Event()
    expected = {"cancel": asyncio.CancelledError, "timeout": httpx.ReadTimeout, "refusal": httpx.ConnectError}
    async with (
        Loopback(mute(heard)).running() as silent,
        Loopback(answering(response())).running() as vendor,
        client_of(limits, read=0.05 if end == "timeout" else 5.0) as client,
    ):
        request = asyncio.create_task(client.get("http://127.0.0.1:9" if end == "refusal" else silent.url))
        if end == "cancel":
            await heard.wait()
            request.cancel()
        (outcome,) = await asyncio.gather(request, return_exceptions=True)
        assert isinstance(outcome, expected[end])

        assert (await client.get(vendor.url)).status_code == 200


async def test_an_answer_that_is_not_read_to_its_end_closes_its_connection() -> None:
    """A connection whose answer was not read to its end is closed, so that the rest is not read as the next answer."""
    long = answering(response(b"x" * 10**6))
    async with Loopback(long).running() as vendor, client_of() as client:
        for _ in range(3):
            async with client.stream("GET", vendor.url) as answer:
                await anext(answer.aiter_raw(10))

    assert vendor.connections == 3


async def test_a_connection_that_the_vendor_closed_is_not_used_again() -> None:
    """A connection that the vendor closed is not reused, because a submit on it would have an unknown outcome."""
    closed = asyncio.Event()

    async def once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        closed.set()

    async with Loopback(once).running() as vendor:
        http = VendorHttp("Acme", vendor.url)
        for _ in range(20):
            closed.clear()
            try:
                await http.submit("/make", json={})
            except OutcomeUnknown:
                pytest.fail("a closed connection was used")
            await closed.wait()
        await http.aclose()

    assert vendor.connections == 20


async def test_a_connection_that_was_unused_for_long_is_closed() -> None:
    """The next request closes a connection that was idle for too long, and opens a new one."""
    limits = httpx.Limits(keepalive_expiry=0.0)
    async with Loopback(answering(response())).running() as vendor, client_of(limits) as client:
        for _ in range(3):
            await client.get(vendor.url)

    assert vendor.connections == 3


async def test_each_server_has_its_own_connections() -> None:
    """A connection is only used for its own server."""
    async with (
        Loopback(answering(response(b"1"))).running() as one,
        Loopback(answering(response(b"2"))).running() as two,
        client_of() as client,
    ):
        reported = [(await client.get(vendor.url)).text for vendor in (one, two) * 3]

    assert reported == ["1", "2"] * 3
    assert (one.connections, two.connections) == (1, 1)


async def test_after_the_close_nothing_stays_open() -> None:
    """After the pool is closed, a connection in use is closed when its request ends."""
    async with Loopback(answering(response(b"x" * 100))).running() as vendor:
        transport = Connections(LIMITS)
        client = httpx.AsyncClient(transport=transport)
        async with client.stream("GET", vendor.url) as answer:
            await transport.aclose()
            assert await answer.aread() == b"x" * 100
        async with client.stream("GET", vendor.url) as answer:
            await answer.aread()

    assert vendor.connections == 2


async def test_an_unknown_scheme_is_refused() -> None:
    """An unsupported scheme is refused before anything is sent."""
    with pytest.raises(httpx.UnsupportedProtocol):
        await Connections(LIMITS).handle_async_request(httpx.Request("GET", "ftp://127.0.0.1/"))


async def test_a_certificate_is_checked(tmp_path: Path) -> None:
    """HTTPS works with a server that is trusted, on one connection, and not with another."""
    serving, trusting = certified(tmp_path)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(1)
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(response(b"safe"))

    opened: list[int] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=serving)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with httpx.AsyncClient(transport=Connections(LIMITS, tls=lambda: trusting)) as client:
        assert [(await client.get(url)).text for _ in range(3)] == ["safe"] * 3
    async with httpx.AsyncClient(transport=Connections(LIMITS, tls=ssl.create_default_context)) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(url)
    server.close()

    assert opened == [1]


def certified(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server with a certificate and a client that trusts it, for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(_loopback())]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pem)
    return serving, ssl.create_default_context(cafile=str(pem))


def _loopback() -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address("127.0.0.1")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_left_to_httpx(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a proxy in the environment, httpx's own transport is used."""
    for unset in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(unset, raising=False)
        monkeypatch.delenv(unset.lower(), raising=False)
    assert isinstance(connections(LIMITS), Connections)

    monkeypatch.setenv(name, "http://127.0.0.1:3128")
    assert connections(LIMITS) is None
