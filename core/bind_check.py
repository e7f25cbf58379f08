"""Startup check: without authentication the API binds to loopback only."""

import ipaddress
from typing import Final

from core.errors import ConfigurationError
from core.settings import Settings
from core.vault import NO_ENCRYPTION_KEY, Vault, vault_of
from polyrelay import Secret

EXAMPLE_KEY: Final = Secret("YW4gZXhhbXBsZSB0aGF0IGV2ZXJ5Ym9keSBrbm93cyE=")
"""The encryption key in `.env.example`, which everybody can read."""

NO_KEY: Final = (
    "no API key is stored, so nobody could call this server; create one with `polyrelay keys create --role admin`, "
    "with the same MONGO_URL and API_KEY_ENCRYPTION_KEY"
)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on this host."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def vault_for(settings: Settings) -> Vault | None:
    """
    The vault for the secrets of API keys, or None with `AUTH=none` and no encryption key.

    Raises:
        ConfigurationError: The server would be open without authentication, or could not read the secrets of its API
            keys; says what to do.
    """
    if settings.auth == "none":
        if not is_loopback(settings.host):
            raise ConfigurationError(
                f"AUTH=none is for loopback only, and HOST={settings.host} is not loopback: remove AUTH=none "
                "and create a key with `polyrelay keys create --role admin`, or set HOST=127.0.0.1"
            )
    elif settings.api_key_encryption_key is None:
        raise ConfigurationError(f"AUTH=required, and {NO_ENCRYPTION_KEY}. On loopback AUTH=none needs no keys")
    encryption_key = settings.api_key_encryption_key
    if encryption_key is not None and EXAMPLE_KEY.reveal() in encryption_key.reveal():
        raise ConfigurationError(
            "API_KEY_ENCRYPTION_KEY is the public example from .env.example; create one of your own "
            "with `openssl rand -base64 32`"
        )
    return None if encryption_key is None else vault_of(encryption_key)
