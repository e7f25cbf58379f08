"""The client address of a request."""

from ipaddress import ip_network

import pytest

from core.addresses import client_address

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),  # an untrusted peer may send any header
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),  # the first address was sent by the caller itself
        ("10.0.0.1", "203.0.113.9, 10.2.2.2 ,2001:db8::5", "203.0.113.9"),
        ("10.0.0.1", "10.2.2.2", "10.2.2.2"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, <script>", "10.0.0.1"),
        (None, "203.0.113.9", None),
    ],
)
def test_only_trusted_proxies_report_the_client_address(
    peer: str | None, forwarded: str | None, address: str | None
) -> None:
    """The last address that is not a trusted proxy is used; invalid addresses are ignored."""
    assert client_address(peer, forwarded, PROXIES) == address


def test_without_trusted_proxies_the_peer_is_the_client() -> None:
    """The header is ignored."""
    assert client_address("10.0.0.1", "203.0.113.9", ()) == "10.0.0.1"
