"""API keys: callers authenticate with one. The stored key, its states, and the port of the key store."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

from core.callers import Caller, KeyLimits, Role
from polyrelay import Secret

_SECRET_BYTES: Final = 25
_ACCESS_KEY_BYTES: Final = 10


class KeyState(StrEnum):
    """Whether a key is accepted."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ApiKey(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A stored key. Its secret is not stored in clear text.

    Attributes:
        id: Sorts by the time of creation.
        access_key: The public half, which signed requests name.
        fingerprint: SHA-256 of the secret, in hex; a Bearer secret is found by it. The secret has 200 random bits, so
            it cannot be guessed from the hash.
        sealed: The secret, encrypted; see `core.vault`.
        owner: The owner of the tasks that it creates; by default its own id. Rotation keeps it.
        version: Grows by one with each change.
        rotated_from: The key that this one replaces.
        rotated_to: The key that replaces this one.
    """

    id: str
    access_key: str
    fingerprint: str
    sealed: bytes
    owner: str
    role: Role
    description: str = ""
    limits: KeyLimits = KeyLimits()
    created: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    rotated_from: str | None = None
    rotated_to: str | None = None
    version: int = 1

    def state(self, now: datetime) -> KeyState:
        """Whether the key is accepted at that moment."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return KeyState.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return KeyState.EXPIRED
        return KeyState.ACTIVE

    def fits(self, secret: Secret) -> bool:
        """Whether that is its secret, compared in constant time."""
        return hmac.compare_digest(self.fingerprint, fingerprint_of(secret))

    def caller(self, *, replay: str | None = None) -> Caller:
        """The caller that authenticates with this key."""
        return Caller(
            role=self.role,
            owner=self.owner,
            key_id=self.id,
            access_key=self.access_key,
            limits=self.limits,
            replay=replay,
        )


class KeyQuery(Struct, frozen=True, kw_only=True):
    """
    Which keys to list, newest first.

    Attributes:
        owner: Only keys of this owner.
        limit: Maximum number of keys, 1 to 100.
        offset: Number of keys to skip.
    """

    owner: str | None = None
    limit: int = 20
    offset: int = 0


class KeyPage(Struct, frozen=True, kw_only=True):
    """One page of a list, and the number of keys that match in all."""

    keys: tuple[ApiKey, ...]
    total: int


class Keys(Protocol):
    """The stored keys. Every method raises `StoreUnavailable` if the database is unavailable."""

    async def add(self, key: ApiKey) -> None:
        """
        Store a new key, durably.

        Raises:
            DuplicateKey: Its id, access key or secret is stored already.
        """

    async def save(self, key: ApiKey) -> None:
        """
        Replace the stored key whose version is `key.version - 1`, atomically.

        Raises:
            Stale: Another writer was first.
        """

    async def get(self, key_id: str) -> ApiKey:
        """
        The key of that id.

        Raises:
            KeyNotFound: There is none.
        """

    async def of_access_key(self, access_key: str) -> ApiKey:
        """
        The key with that public half.

        Raises:
            KeyNotFound: There is none.
        """

    async def of_fingerprint(self, fingerprint: str) -> ApiKey:
        """
        The key whose secret has that fingerprint.

        Raises:
            KeyNotFound: There is none.
        """

    async def page(self, query: KeyQuery) -> KeyPage:
        """One page of a list."""

    async def after(self, key_id: str, *, limit: int = 100) -> Sequence[ApiKey]:
        """Keys by id, with ids above that one: to iterate over all of them."""


def new_key_id(now: datetime) -> str:
    """An id that sorts by time: the millisecond, then 48 random bits."""
    return f"key_{int(now.timestamp() * 1000):012x}{secrets.token_hex(6)}"


def new_access_key() -> str:
    """The public half of a key."""
    return f"ak_{_base32(_ACCESS_KEY_BYTES)}"


def new_secret() -> Secret:
    """The secret half of a key: 200 random bits."""
    return Secret(f"sk_{_base32(_SECRET_BYTES)}")


def fingerprint_of(secret: Secret) -> str:
    """The SHA-256 of a secret, in hex."""
    return hashlib.sha256(secret.reveal().encode("utf-8", "surrogatepass")).hexdigest()


def _base32(count: int) -> str:
    return base64.b32encode(secrets.token_bytes(count)).decode().lower()
