"""Vault: encrypts secrets that must be read again, with AES-256-GCM and a key that is not stored with them."""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import PolyrelayError
from polyrelay import Secret

KEY_BYTES: Final = 32
NO_ENCRYPTION_KEY: Final = (
    "API_KEY_ENCRYPTION_KEY is not set; create one with `openssl rand -base64 32`, keep it as safe as a password, and "
    "give the same one to every API process and to `polyrelay keys`"
)
_MARK_BYTES: Final = 4
_NONCE_BYTES: Final = 12
_VERSION: Final = b"\x01"


class NotReadable(PolyrelayError):
    """No encryption key decrypts the secret, or the stored bytes were changed."""


class Vault:
    """
    Encrypts and decrypts with AES-256-GCM. The first of several keys encrypts, all of them decrypt.

    A sealed secret is a version byte, four bytes that identify the key, a nonce of 96 random bits, and the ciphertext
    with its tag. The id of the secret's owner is authenticated with it, so that the ciphertext of one owner is not
    accepted for another.

    Args:
        encryption_keys: At least one key, each of 32 bytes.
    """

    def __init__(self, encryption_keys: Sequence[bytes]) -> None:
        self._keys = {_key_mark(key): key for key in encryption_keys}
        self._first = encryption_keys[0]

    def seal(self, secret: Secret, *, of: str) -> bytes:
        """Encrypt the secret for the owner with the id `of`."""
        nonce = os.urandom(_NONCE_BYTES)
        text = secret.reveal().encode()
        return _VERSION + _key_mark(self._first) + nonce + AESGCM(self._first).encrypt(nonce, text, of.encode())

    def open(self, sealed: bytes, *, of: str) -> Secret:
        """
        Decrypt the secret of the owner with the id `of`.

        Raises:
            NotReadable: Its encryption key is unknown, it belongs to another owner, or the bytes were changed.
        """
        key = self._keys.get(_key_mark_in(sealed))
        start = len(_VERSION) + _MARK_BYTES
        nonce, text = sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
        if key is None or not sealed.startswith(_VERSION) or len(nonce) < _NONCE_BYTES:
            raise NotReadable(f"the secret of {of} was encrypted under a key that is not in API_KEY_ENCRYPTION_KEY")
        try:
            return Secret(AESGCM(key).decrypt(nonce, text, of.encode()).decode())
        except (InvalidTag, ValueError) as error:
            raise NotReadable(f"the stored secret of {of} was changed") from error

    def is_current(self, sealed: bytes) -> bool:
        """Whether the first key encrypted the secret."""
        return _key_mark_in(sealed) == _key_mark(self._first)

    def derived(self, purpose: str) -> tuple[bytes, ...]:
        """Keys for another purpose, one derived from each encryption key, in the same order. They do not reveal it."""
        return tuple(hmac.digest(key, purpose.encode(), "sha256") for key in (self._first, *self._others()))

    def _others(self) -> list[bytes]:
        return [key for key in self._keys.values() if key != self._first]


def vault_of(text: Secret) -> Vault:
    """
    The vault for the setting API_KEY_ENCRYPTION_KEY: base64 of 32 bytes, or several of them separated by commas.

    Raises:
        ValueError: The text is not valid; says what is allowed and does not repeat the text.
    """
    return Vault([_decoded(part.strip()) for part in text.reveal().split(",")])


def _decoded(text: str) -> bytes:
    try:
        key = base64.b64decode(text.translate(str.maketrans("-_", "+/")), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(
            "base64 of 32 bytes, as `openssl rand -base64 32` makes it; "
            "several separated by commas, of which the first encrypts"
        )
    return key


def _key_mark(key: bytes) -> bytes:
    return hashlib.sha256(b"polyrelay encryption key " + key).digest()[:_MARK_BYTES]


def _key_mark_in(sealed: bytes) -> bytes:
    return sealed[len(_VERSION) : len(_VERSION) + _MARK_BYTES]
