"""The startup check of address and authentication."""

import base64

import pytest

from core.bind_check import EXAMPLE_KEY, is_loopback, vault_for
from core.errors import ConfigurationError
from core.settings import Settings
from polyrelay import Secret

KEY = Secret(base64.b64encode(bytes(range(32))).decode())


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_needs_no_authentication(host: str) -> None:
    """Other machines cannot reach a loopback address, so AUTH=none is allowed."""
    assert is_loopback(host)
    assert vault_for(Settings(auth="none", host=host)) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "relay.example.com", "", "127.0.0.1.example.com"])
def test_auth_none_is_refused_on_other_addresses(host: str) -> None:
    """The message says what to do instead."""
    assert not is_loopback(host)
    with pytest.raises(ConfigurationError, match=r"for loopback only.*polyrelay keys create --role admin.*HOST=127"):
        vault_for(Settings(auth="none", host=host))


def test_authentication_needs_an_encryption_key() -> None:
    """The message says how to create one."""
    with pytest.raises(ConfigurationError, match="openssl rand -base64 32"):
        vault_for(Settings(auth="required"))
    assert vault_for(Settings(auth="required", api_key_encryption_key=KEY)) is not None
    assert vault_for(Settings(auth="none", api_key_encryption_key=KEY)) is not None


def test_the_example_encryption_key_is_refused() -> None:
    """It is public, in every copy of the sources."""
    for text in (EXAMPLE_KEY.reveal(), f"{KEY.reveal()},{EXAMPLE_KEY.reveal()}"):
        with pytest.raises(ConfigurationError, match="public example"):
            vault_for(Settings(auth="required", api_key_encryption_key=Secret(text)))


def test_authentication_is_the_default() -> None:
    """A server without AUTH in its settings requires API keys."""
    assert Settings().auth == "required"
