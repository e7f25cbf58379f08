"""Where a request comes from."""

from ipaddress import ip_network

import pytest

from core.addresses import client_address

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),  # nobody's proxy may say what it likes
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),  # what the caller itself sent stands before
        ("10.0.0.1", "203.0.113.9, 10.2.2.2 ,2001:db8::5", "203.0.113.9"),
        ("10.0.0.1", "10.2.2.2", "10.2.2.2"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, <script>", "10.0.0.1"),
        (None, "203.0.113.9", None),
    ],
)
def test_only_trusted_proxies_say_whom_they_speak_for(
    peer: str | None, forwarded: str | None, address: str | None
) -> None:
    """The last address that no trusted proxy has; what cannot be one is not taken."""
    assert client_address(peer, forwarded, PROXIES) == address


def test_without_proxies_the_peer_counts() -> None:
    """Whatever the header says."""
    assert client_address("10.0.0.1", "203.0.113.9", ()) == "10.0.0.1"
