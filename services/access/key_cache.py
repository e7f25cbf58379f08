"""Looks keys up, and remembers for a moment what it found: every request asks."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from core.errors import KeyNotFound
from core.keys import ApiKey, Keys, fingerprint_of
from polyrelay import Secret

HOLD_S: Final = 2.0
"""So long a process may believe what it read: by then every process refuses a key that was revoked."""

_MOST_FOUND: Final = 10_000
_MOST_MISSED: Final = 10_000


class _Seen(Struct, frozen=True):
    key: ApiKey | None
    until_s: float


class KeyCache:
    """
    Keys by what a request shows of them.

    What is not there is remembered apart from what is, so that a flood of wrong keys drives no good one out.

    Args:
        keys: Where they are stored.
        monotonic_s: A clock that never goes back, in seconds.
    """

    def __init__(self, keys: Keys, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._now_s = monotonic_s
        self._found: OrderedDict[str, _Seen] = OrderedDict()
        self._missed: OrderedDict[str, _Seen] = OrderedDict()

    async def of_secret(self, secret: Secret) -> ApiKey | None:
        """The key with that secret, or None. Raises `StoreUnavailable`."""
        fingerprint = fingerprint_of(secret)
        return await self._looked_up(f"secret {fingerprint}", lambda: self._keys.of_fingerprint(fingerprint))

    async def of_access_key(self, access_key: str) -> ApiKey | None:
        """The key with that public half, or None. Raises `StoreUnavailable`."""
        return await self._looked_up(f"access {access_key}", lambda: self._keys.of_access_key(access_key))

    async def _looked_up(self, name: str, read: Callable[[], Awaitable[ApiKey]]) -> ApiKey | None:
        asked_s = self._now_s()
        seen = self._found.get(name) or self._missed.get(name)
        if seen is not None and asked_s < seen.until_s:
            return seen.key
        try:
            key: ApiKey | None = await read()
        except KeyNotFound:
            key = None
        # Counted from before the read: what it saw may have changed while it was on its way.
        self._remember(name, _Seen(key, asked_s + HOLD_S))
        return key

    def _remember(self, name: str, seen: _Seen) -> None:
        self._found.pop(name, None)
        self._missed.pop(name, None)
        shelf, most = (self._missed, _MOST_MISSED) if seen.key is None else (self._found, _MOST_FOUND)
        shelf[name] = seen
        if len(shelf) > most:
            shelf.popitem(last=False)
