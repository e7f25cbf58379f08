"""Where a request comes from."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network


def client_address(peer: str | None, forwarded: str | None, trusted: Sequence[Network]) -> str | None:
    """
    The address of the caller: the peer's, or what a trusted proxy says of whom it speaks for.

    Each proxy adds the address of its own peer at the end, so the last one that is no trusted proxy counts; whatever
    stands before it may be made up.

    Args:
        peer: The other end of the connection.
        forwarded: The header `X-Forwarded-For`.
        trusted: Our proxies.
    """
    found = peer
    for text in reversed((forwarded or "").split(",")):
        if found is None or not _within(found, trusted):
            return found
        if not _is_address(text.strip()):
            return found
        found = text.strip()
    return found


def network_of(text: str) -> Network | None:
    """The network, or the one address, that is written there; None where it is something else, such as a name."""
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
