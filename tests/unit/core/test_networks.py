"""Networks in settings, such as the addresses of trusted proxies."""

from ipaddress import ip_network

import pytest

from core.addresses import network_of


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3/8", "10.0.0.0/8"),  # an address of the network, with its prefix length
        ("192.0.2.7", "192.0.2.7/32"),
        ("2001:db8::5/32", "2001:db8::/32"),
    ],
)
def test_a_network_is_read_from_an_address_with_or_without_a_prefix_length(text: str, network: str) -> None:
    """Bits behind the prefix are ignored; an address without a prefix length is a network of one address."""
    assert network_of(text) == ip_network(network)


@pytest.mark.parametrize("text", ["", "proxy.internal", "10.0.0.0/33", "10.0.0"])
def test_other_texts_are_no_network(text: str) -> None:
    """The value is None for a host name and for an invalid network."""
    assert network_of(text) is None
