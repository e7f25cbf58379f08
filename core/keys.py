"""API keys: what callers prove who they are with."""

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
    """Whether a key still opens the door."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ApiKey(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A key on record. Its secret is nowhere in clear.

    Attributes:
        id: Sorts by the time of creation.
        access_key: The public half, which signed requests name.
        fingerprint: SHA-256 of the secret, in hex, by which a Bearer secret is found. The secret has 200 random bits,
            so that nothing is gained by guessing.
        sealed: The secret, encrypted; see `core.vault`.
        owner: Whose tasks those are that it creates: by default its own id. Rotation keeps it.
        version: Grows by one with each change.
        rotated_from: The key that this one takes the place of.
        rotated_to: The key that takes the place of this one.
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
        """Whether it still opens the door at that moment."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return KeyState.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return KeyState.EXPIRED
        return KeyState.ACTIVE

    def fits(self, secret: Secret) -> bool:
        """Whether that is its secret; takes as long for one that is nearly right as for any other."""
        return hmac.compare_digest(self.fingerprint, fingerprint_of(secret))

    def caller(self, *, replay: str | None = None) -> Caller:
        """Who shows it."""
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
        owner: Only those of that owner.
        limit: At most so many, 1 to 100.
        offset: Skip so many.
    """

    owner: str | None = None
    limit: int = 20
    offset: int = 0


class KeyPage(Struct, frozen=True, kw_only=True):
    """One page of a list, and how many match in all."""

    keys: tuple[ApiKey, ...]
    total: int


class Keys(Protocol):
    """The keys on record. Every method raises `StoreUnavailable` where the database cannot be reached."""

    async def add(self, key: ApiKey) -> None:
        """
        Store a new key, durably.

        Raises:
            DuplicateKey: Its id, access key or secret is on record already.
        """

    async def save(self, key: ApiKey) -> None:
        """
        Replace the stored key whose version is `key.version - 1`, atomically.

        Raises:
            Stale: Somebody else wrote first.
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
        """Keys in order of id, above that one: to go through all of them."""


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
    """What a secret is found by; it does not lead back."""
    return hashlib.sha256(secret.reveal().encode("utf-8", "surrogatepass")).hexdigest()


def _base32(count: int) -> str:
    return base64.b32encode(secrets.token_bytes(count)).decode().lower()
