"""API key cache: keeps for two seconds what a process read of keys, because every request looks one up."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from core.errors import KeyNotFound
from core.keys import ApiKey, Keys, fingerprint_of
from polyrelay import Secret

HOLD_S: Final = 2.0
"""How long an entry is used, in seconds: after that time every process refuses a revoked key."""

MOST_KEYS: Final = 10_000
"""Entries of found keys, and as many of keys that do not exist."""


class _Entry(Struct, frozen=True):
    key: ApiKey | None
    until_s: float


class KeyCache:
    """
    Looks up keys by their secret or access key.

    Keys that do not exist are cached separately, so that many wrong keys do not displace existing ones.

    Args:
        keys: The stored keys.
        most: Entries of found keys, and of keys that do not exist; the oldest are dropped.
        monotonic_s: A clock that never goes back, in seconds.
    """

    def __init__(self, keys: Keys, *, most: int = MOST_KEYS, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._most = most
        self._now_s = monotonic_s
        self._found: OrderedDict[str, _Entry] = OrderedDict()
        self._missed: OrderedDict[str, _Entry] = OrderedDict()

    async def of_secret(self, secret: Secret) -> ApiKey | None:
        """The key with that secret, or None. Raises `StoreUnavailable`."""
        fingerprint = fingerprint_of(secret)
        return await self._looked_up(f"secret {fingerprint}", lambda: self._keys.of_fingerprint(fingerprint))

    async def of_access_key(self, access_key: str) -> ApiKey | None:
        """The key with that access key, its public half, or None. Raises `StoreUnavailable`."""
        return await self._looked_up(f"access {access_key}", lambda: self._keys.of_access_key(access_key))

    async def _looked_up(self, name: str, read: Callable[[], Awaitable[ApiKey]]) -> ApiKey | None:
        now_s = self._now_s()
        entry = self._found.get(name) or self._missed.get(name)
        if entry is not None and now_s < entry.until_s:
            return entry.key
        try:
            key: ApiKey | None = await read()
        except KeyNotFound:
            key = None
        # The time counts from before the read: the key may have changed since it was read.
        self._store(name, _Entry(key, now_s + HOLD_S))
        return key

    def _store(self, name: str, entry: _Entry) -> None:
        self._found.pop(name, None)
        self._missed.pop(name, None)
        entries = self._missed if entry.key is None else self._found
        entries[name] = entry
        if len(entries) > self._most:
            entries.popitem(last=False)
