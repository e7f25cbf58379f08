"""Keeps secrets that have to be read again: encrypted, under a key that is nowhere on record."""

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
    "API_KEY_ENCRYPTION_KEY is not set; make one with `openssl rand -base64 32`, keep it as safe as a password, and "
    "give the same one to every API process and to `polyrelay keys`"
)
_MARK_BYTES: Final = 4
_NONCE_BYTES: Final = 12
_VERSION: Final = b"\x01"


class NotReadable(PolyrelayError):
    """None of the encryption keys opens it, or it was changed."""


class Vault:
    """
    AES-256-GCM under one of several keys: the first encrypts, all decrypt.

    What it makes is a version, four bytes that tell the key, a nonce of 96 random bits, and the ciphertext with its
    tag. The id of what the secret belongs to is authenticated with it, so that no ciphertext passes for another's.

    Args:
        encryption_keys: At least one, of 32 bytes each.
    """

    def __init__(self, encryption_keys: Sequence[bytes]) -> None:
        self._keys = {_mark(key): key for key in encryption_keys}
        self._first = encryption_keys[0]

    def seal(self, secret: Secret, *, of: str) -> bytes:
        """The secret, encrypted, as that of `of`."""
        nonce = os.urandom(_NONCE_BYTES)
        text = secret.reveal().encode()
        return _VERSION + _mark(self._first) + nonce + AESGCM(self._first).encrypt(nonce, text, of.encode())

    def open(self, sealed: bytes, *, of: str) -> Secret:
        """
        The secret again.

        Raises:
            NotReadable: Its encryption key is none of ours, it belongs to something else, or it was changed.
        """
        key = self._keys.get(_mark_of(sealed))
        start = len(_VERSION) + _MARK_BYTES
        nonce, text = sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
        if key is None or not sealed.startswith(_VERSION) or len(nonce) < _NONCE_BYTES:
            raise NotReadable(f"the secret of {of} was encrypted under a key that is not in API_KEY_ENCRYPTION_KEY")
        try:
            return Secret(AESGCM(key).decrypt(nonce, text, of.encode()).decode())
        except (InvalidTag, ValueError) as error:
            raise NotReadable(f"the secret of {of} on record was changed") from error

    def is_current(self, sealed: bytes) -> bool:
        """Whether the first key encrypted it."""
        return _mark_of(sealed) == _mark(self._first)

    def derived(self, purpose: str) -> tuple[bytes, ...]:
        """Keys for something else, one of each encryption key, the first first; none of them leads back."""
        return tuple(hmac.digest(key, purpose.encode(), "sha256") for key in (self._first, *self._others()))

    def _others(self) -> list[bytes]:
        return [key for key in self._keys.values() if key != self._first]


def vault_of(text: Secret) -> Vault:
    """
    The vault for API_KEY_ENCRYPTION_KEY: base64 of 32 bytes, or several of them with commas between.

    Raises:
        ValueError: With a text that says what is allowed, and nothing of what came.
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
            "several with commas between, of which the first encrypts"
        )
    return key


def _mark(key: bytes) -> bytes:
    return hashlib.sha256(b"polyrelay encryption key " + key).digest()[:_MARK_BYTES]


def _mark_of(sealed: bytes) -> bytes:
    return sealed[len(_VERSION) : len(_VERSION) + _MARK_BYTES]
