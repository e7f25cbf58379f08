"""SSRF protection: which addresses links may lead to."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.runtime.public_transport import (
    ForbiddenAddress,
    PublicTransport,
    Resolve,
    Trusted,
    is_public,
    resolved,
    trusted,
)

PUBLIC = "93.184.216.34"


class Net:
    """
    An internet of a few names, and what was sent to whom.

    Attributes:
        names: The addresses of each host.
        asked: Which were resolved.
        sent: The requests that were sent.
        answers: By the path, where it is not "here it is".
    """

    def __init__(self, **names: Sequence[str]) -> None:
        self.names: Mapping[str, Sequence[str]] = {name.replace("_", "."): found for name, found in names.items()}
        self.asked: list[str] = []
        self.sent: list[httpx.Request] = []
        self.answers: dict[str, httpx.Response] = {}

    async def resolve(self, host: str, _: int) -> Sequence[str]:
        """The addresses of a name, or itself."""
        self.asked.append(host)
        return self.names.get(host, [host])

    def client(self, trusted: Trusted | None = None) -> httpx.AsyncClient:
        """Fetches links in this net."""
        direct = httpx.MockTransport(self._answer)
        transport = PublicTransport(trusted or Trusted(), direct=direct, resolve=self.resolve)
        return httpx.AsyncClient(transport=transport, follow_redirects=True)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        return self.answers.get(request.url.path, httpx.Response(200, text="here it is"))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "169.254.169.254", "100.100.100.200", "100.96.0.96", "192.0.0.192", "168.63.129.16", "224.0.0.1",
        "255.255.255.255", "198.18.0.1", "203.0.113.5", "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
        "2002:c0a8:101::1", "2001:db8::1",
    ],
)  # fmt: skip
def test_what_is_not_on_the_internet_is_not_public(address: str) -> None:
    """Loopback, private, link-local, shared, reserved, multicast and metadata addresses, in every notation."""
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", PUBLIC, "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_what_is_on_the_internet_is_public(address: str) -> None:
    """Also if an IPv6 address embeds it."""
    assert is_public(ip_address(address))


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """The name is resolved once, and is sent as host and checked in the certificate."""
    net = Net(pictures_test=[PUBLIC])
    async with net.client() as client:
        response = await client.get("https://pictures.test:8443/a.png?sign=1")

    (sent,) = net.sent
    assert net.asked == ["pictures.test"]
    assert str(sent.url) == f"https://{PUBLIC}:8443/a.png?sign=1"
    assert sent.headers["host"] == "pictures.test:8443"
    assert sent.extensions["sni_hostname"] == "pictures.test"
    assert str(response.url) == "https://pictures.test:8443/a.png?sign=1"


@pytest.mark.parametrize(
    "link",
    [
        "http://127.0.0.1/", "http://169.254.169.254/latest/meta-data", "http://[::1]:27017/", "http://inside.test/",
        "http://[::ffff:127.0.0.1]/", "https://half.test/",
    ],
)  # fmt: skip
async def test_a_link_to_a_private_address_is_not_followed(link: str) -> None:
    """Nothing is sent if any address of the name is not public."""
    net = Net(inside_test=["10.0.0.7"], half_test=[PUBLIC, "10.0.0.7"])
    async with net.client() as client:
        with pytest.raises(ForbiddenAddress):
            await client.get(link)

    assert net.sent == []


async def test_a_redirect_to_a_private_address_is_not_followed() -> None:
    """Every redirect is checked."""
    net = Net(pictures_test=[PUBLIC], inside_test=["192.168.0.1"])
    net.answers["/away"] = httpx.Response(302, headers={"Location": "http://inside.test/secret"})
    net.answers["/on"] = httpx.Response(302, headers={"Location": "/found"})
    async with net.client() as client:
        assert (await client.get("http://pictures.test/on")).text == "here it is"
        with pytest.raises(ForbiddenAddress):
            await client.get("http://pictures.test/away")

    assert [request.url.path for request in net.sent] == ["/on", "/found", "/away"]


async def test_what_is_trusted_is_reached() -> None:
    """A network by its addresses; a host by its name, on all ports or on one."""
    places = Trusted(
        networks=(ip_network("10.1.0.0/16"),), hosts=frozenset({"store.internal", "127.0.0.1:9000", "::1:9000"})
    )
    net = Net(store_internal=["192.168.0.1"], near_test=["10.1.2.3"], far_test=["10.2.2.3"])
    async with net.client(places) as client:
        for link in ("http://store.internal:1/", "http://127.0.0.1:9000/", "http://near.test/", "http://[::1]:9000/"):
            assert (await client.get(link)).status_code == 200
        for link in ("http://127.0.0.1:9001/", "http://127.0.0.1/", "http://far.test/", "http://192.168.0.1/"):
            with pytest.raises(ForbiddenAddress):
                await client.get(link)


@pytest.mark.parametrize("link", ["file:///etc/passwd", "ftp://pictures.test/", "gopher://127.0.0.1:6379/_FLUSHALL"])
async def test_other_schemes_are_not_followed(link: str) -> None:
    """Links are http or https."""
    async with Net().client() as client:
        with pytest.raises(httpx.UnsupportedProtocol):
            await client.get(link)


async def test_a_name_without_an_address_is_not_connected_to() -> None:
    """The error is that of a failed connection."""

    async def unknown(_: str, __: int) -> Sequence[str]:
        raise OSError("no such name")

    async with httpx.AsyncClient(transport=PublicTransport(Trusted(), resolve=unknown)) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://nowhere.test/")


async def test_a_name_that_is_not_resolved_in_time_is_given_up() -> None:
    """The connect timeout includes the resolution."""

    async def never(_: str, __: int) -> Sequence[str]:
        return await asyncio.Future()

    transport = PublicTransport(Trusted(), resolve=never)
    async with httpx.AsyncClient(transport=transport, timeout=httpx.Timeout(5, connect=0.01)) as client:
        with pytest.raises(httpx.ConnectTimeout):
            await client.get("http://slow.test/")


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "0"])
async def test_loopback_is_found_in_every_notation(host: str) -> None:
    """Old notations of addresses are checked as the system resolves them."""
    async with httpx.AsyncClient(transport=PublicTransport(Trusted())) as client:
        with pytest.raises(ForbiddenAddress):
            await client.get(f"http://{host}:9/")


def _certificate(name: str, folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, private


@asynccontextmanager
async def _https(certificate: Path, key: Path) -> AsyncIterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_certificate_is_checked_for_the_name_and_not_for_the_address(tmp_path: Path) -> None:
    """A certificate of another name is refused, although the connection is made to an address."""
    certificate, key = _certificate("pictures.test", tmp_path)
    context = ssl.create_default_context(cafile=str(certificate))
    net = Net(pictures_test=["127.0.0.1"], other_test=["127.0.0.1"])
    transport = PublicTransport(
        Trusted(hosts=frozenset({"pictures.test", "other.test"})),
        direct=httpx.AsyncHTTPTransport(verify=context, limits=httpx.Limits(max_keepalive_connections=0)),
        resolve=net.resolve,
    )
    async with _https(certificate, key) as port, httpx.AsyncClient(transport=transport) as client:
        assert (await client.get(f"https://pictures.test:{port}/")).text == "ok"
        with pytest.raises(httpx.ConnectError):
            await client.get(f"https://other.test:{port}/")


async def test_the_next_address_is_tried_where_the_first_does_not_answer() -> None:
    """The addresses of a name are tried in their order."""
    net = Net(pictures_test=["8.8.8.8", PUBLIC])

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "8.8.8.8":
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(200)

    resolve: Resolve = net.resolve
    transport = PublicTransport(Trusted(), direct=httpx.MockTransport(answer), resolve=resolve)
    async with httpx.AsyncClient(transport=transport) as client:
        assert (await client.get("http://pictures.test/")).status_code == 200
    assert "127.0.0.1" in await resolved("localhost", 80)


async def test_a_proxy_of_the_environment_connects_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a proxy, names are neither resolved nor checked here."""
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    net = Net(direct_test=["10.0.0.1"])
    monkeypatch.setenv("no_proxy", "direct.test")
    transport = PublicTransport(Trusted(), resolve=net.resolve)
    async with server, httpx.AsyncClient(transport=transport) as client:
        assert (await client.get("http://pictures.test/a.png")).status_code == 200
        with pytest.raises(ForbiddenAddress):
            await client.get("http://direct.test/")

    assert asked == [b"GET http://pictures.test/a.png HTTP/1.1\r\n"]
    assert net.asked == ["direct.test"]


def test_an_operator_trusts_networks_hosts_and_vendors() -> None:
    """Of a vendor's URL only that port is trusted, not other ports of its host."""
    found = trusted(
        ["10.1.0.0/16", "127.0.0.1", "Minio.internal:9000", "store"], ["http://10.9.9.9/v1", "https://a.test/x"]
    )

    assert [str(network) for network in found.networks] == ["10.1.0.0/16", "127.0.0.1/32"]
    assert found.hosts == {"minio.internal:9000", "store", "10.9.9.9:80", "a.test:443"}
