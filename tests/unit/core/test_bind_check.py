"""Where a server may listen, and what it needs for that."""

import base64

import pytest

from core.bind_check import EXAMPLE_KEY, is_loopback, vault_for
from core.errors import ConfigurationError
from core.settings import Settings
from polyrelay import Secret

KEY = Secret(base64.b64encode(bytes(range(32))).decode())


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_this_machine_alone(host: str) -> None:
    """What nobody else reaches."""
    assert is_loopback(host)
    assert vault_for(Settings(auth="none", host=host)) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "relay.example.com", "", "127.0.0.1.example.com"])
def test_everybody_else(host: str) -> None:
    """There AUTH=none is refused, with what to do instead."""
    assert not is_loopback(host)
    with pytest.raises(ConfigurationError, match=r"for loopback only.*polyrelay keys create --role admin.*HOST=127"):
        vault_for(Settings(auth="none", host=host))


def test_whoever_asks_for_keys_must_be_able_to_read_them() -> None:
    """The sentence says how an encryption key is made."""
    with pytest.raises(ConfigurationError, match="openssl rand -base64 32"):
        vault_for(Settings(auth="required"))
    assert vault_for(Settings(auth="required", api_key_encryption_key=KEY)) is not None
    assert vault_for(Settings(auth="none", api_key_encryption_key=KEY)) is not None


def test_the_key_of_the_example_is_refused() -> None:
    """It is in every copy of the sources."""
    for text in (EXAMPLE_KEY.reveal(), f"{KEY.reveal()},{EXAMPLE_KEY.reveal()}"):
        with pytest.raises(ConfigurationError, match="public example"):
            vault_for(Settings(auth="required", api_key_encryption_key=Secret(text)))


def test_asking_is_the_default() -> None:
    """Nobody opens a server by forgetting something."""
    assert Settings().auth == "required"
