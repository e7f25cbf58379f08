"""Client address of a request: the peer, or the address that a trusted proxy reports in `X-Forwarded-For`."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network


def client_address(peer: str | None, forwarded: str | None, trusted: Sequence[Network]) -> str | None:
    """
    The address of the caller: that of the peer, or the one that a trusted proxy reports.

    Each proxy appends the address of its own peer to the header. The last address that is not a trusted proxy is the
    caller's. The caller can forge the addresses before it.

    Args:
        peer: Address of the other end of the connection, or None if it is unknown.
        forwarded: Value of the header `X-Forwarded-For`.
        trusted: Networks of our proxies.
    """
    address = peer
    for text in reversed((forwarded or "").split(",")):
        if address is None or not _within(address, trusted):
            return address
        if not _is_address(text.strip()):
            return address
        address = text.strip()
    return address


def network_of(text: str) -> Network | None:
    """The network or single address in the text, or None if it is something else, such as a host name."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _within(text: str, networks: Sequence[Network]) -> bool:
    return bool(networks) and _is_address(text) and any(ip_address(text) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
