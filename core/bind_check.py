"""May the API listen there, with those settings? What nobody is asked for is for this machine alone."""

import ipaddress
from typing import Final

from core.errors import ConfigurationError
from core.settings import Settings
from core.vault import NO_ENCRYPTION_KEY, Vault, vault_of
from polyrelay import Secret

EXAMPLE_KEY: Final = Secret("YW4gZXhhbXBsZSB0aGF0IGV2ZXJ5Ym9keSBrbm93cyE=")
"""The one in `.env.example`."""

NO_KEY: Final = (
    "no API key is on record, so nobody could call this server; make one with `polyrelay keys create --role admin`, "
    "with the same MONGO_URL and API_KEY_ENCRYPTION_KEY"
)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def vault_for(settings: Settings) -> Vault | None:
    """
    The vault for the keys' secrets, or None where nobody is asked for a key.

    Raises:
        ConfigurationError: The server would be open to others, or could not read its keys; says what to do.
    """
    if settings.auth == "none":
        if not is_loopback(settings.host):
            raise ConfigurationError(
                f"AUTH=none lets in whoever reaches HOST={settings.host}, so it is for loopback only: take AUTH=none "
                "away and make a key with `polyrelay keys create --role admin`, or set HOST=127.0.0.1"
            )
    elif settings.api_key_encryption_key is None:
        raise ConfigurationError(f"AUTH=required, and {NO_ENCRYPTION_KEY}. On loopback AUTH=none does without keys")
    encryption_key = settings.api_key_encryption_key
    if encryption_key is not None and EXAMPLE_KEY.reveal() in encryption_key.reveal():
        raise ConfigurationError(
            "API_KEY_ENCRYPTION_KEY is the example that everybody knows; make one of your own "
            "with `openssl rand -base64 32`"
        )
    return None if encryption_key is None else vault_of(encryption_key)
