"""
SSRF protection: links in vendor responses are fetched from public addresses only.

The host of a link, and of every redirect, is resolved once. Its addresses are checked, and the connection is made to an
address that was checked, so a later change of the DNS record has no effect.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias
from urllib.request import getproxies, proxy_bypass

import httpx
from msgspec import Struct

from core.addresses import Network, network_of

Address: TypeAlias = IPv4Address | IPv6Address
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, for a connection to a port. Raises `OSError`."""

_PORTS: Final = {"http": 80, "https": 443}
_NAT64: Final = IPv6Network("64:ff9b::/96")
_NOT_PUBLIC: Final = tuple(map(ip_network, ("192.0.0.0/24", "168.63.129.16/32", "64:ff9b:1::/48")))
"""Addresses that Python calls global: IETF protocol assignments, Azure's metadata service, and local NAT64."""


class ForbiddenAddress(httpx.TransportError):
    """The link leads to an address that is neither public nor trusted."""


class Trusted(Struct, frozen=True, kw_only=True):
    """
    What may be fetched beside public addresses.

    Attributes:
        networks: Networks whose addresses are allowed.
        hosts: Host names, for all ports ("minio.internal") or one ("127.0.0.1:9000").
    """

    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()

    def names(self, host: str, port: int) -> bool:
        """Whether the host is trusted by its name, whatever its addresses are."""
        return not self.hosts.isdisjoint({host, f"{host}:{port}"})

    def reaches(self, address: Address) -> bool:
        """Whether a connection to that address is allowed."""
        return is_public(address) or any(address in network for network in self.networks)


def trusted(allowed: Sequence[str], urls: Sequence[str]) -> Trusted:
    """
    What an operator trusts.

    Args:
        allowed: Networks, and hosts with or without a port.
        urls: URLs that the operator set, such as a vendor's: their host and port are trusted.
    """
    networks = tuple(network for name in allowed if (network := network_of(name)) is not None)
    hosts = {name.lower() for name in allowed if network_of(name) is None}
    for url in map(httpx.URL, urls):
        hosts.add(f"{url.host}:{url.port or _PORTS[url.scheme]}")
    return Trusted(networks=networks, hosts=frozenset(hosts))


class PublicTransport(httpx.AsyncBaseTransport):
    """
    Sends requests to public addresses, and to what is trusted.

    If the environment names a proxy for a link, the proxy connects, and nothing is checked here.

    Args:
        trusted: What may be fetched beside public addresses.
        direct: Connects. It must not keep connections alive: they are made to addresses and not to names.
        resolve: Resolves the addresses of a host.
    """

    def __init__(
        self,
        trusted: Trusted,
        *,
        direct: httpx.AsyncBaseTransport | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        self._trusted = trusted
        self._direct = direct or httpx.AsyncHTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))
        self._resolve = resolve or resolved
        self._proxies = {
            scheme: httpx.AsyncHTTPTransport(proxy=proxy) for scheme, proxy in getproxies().items() if scheme in _PORTS
        }

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """
        Send a request; httpx sends redirects as separate requests.

        Raises:
            ForbiddenAddress: An address of the host is neither public nor trusted.
            httpx.TransportError: The request could not be sent, or got no response.
        """
        scheme, host = request.url.scheme, request.url.host
        if scheme not in _PORTS or not host:
            raise httpx.UnsupportedProtocol("links are http:// or https://")
        port = request.url.port or _PORTS[scheme]
        if scheme in self._proxies and not proxy_bypass(host):
            return await self._proxies[scheme].handle_async_request(request)
        failure: httpx.TransportError | None = None
        for address in await self._checked(host, port, request):
            try:
                return await self._direct.handle_async_request(_to(address, request))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure or httpx.ConnectError(f"{host} has no address")

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in (self._direct, *self._proxies.values()):
            await transport.aclose()

    async def _checked(self, host: str, port: int, request: httpx.Request) -> Sequence[str]:
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("connect")):
                addresses = await self._resolve(host, port)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"{host} is not resolved in time") from error
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(f"{host} has no address") from error
        if self._trusted.names(host, port):
            return addresses
        for address in addresses:
            if not self._trusted.reaches(ip_address(address.partition("%")[0])):
                raise ForbiddenAddress(f"{host} is at {address}, which is not on the public internet")
        return addresses


async def resolved(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, as the system resolves them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def is_public(address: Address) -> bool:
    """Whether the address is public; one that embeds an IPv4 address is judged by that one."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        meant = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if meant:
            return is_public(meant)
    special = address.is_multicast or any(address in network for network in _NOT_PUBLIC)
    return address.is_global and not special


def _to(address: str, request: httpx.Request) -> httpx.Request:
    """The same request, sent to that address; the certificate is checked for the host name."""
    host = request.url.host
    named = {} if host == address else {"sni_hostname": host}
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, **named},
    )
