"""In-memory adapters of `Keys`, `Users` and `UsedSignatures`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from core.errors import DuplicateKey, EmailTaken, KeyNotFound, Stale, StoreUnavailable, UserNotFound
from core.keys import ApiKey, KeyPage, KeyQuery
from core.users import User, UserPage, folded


class _Store:
    """
    What the adapters share.

    Attributes:
        reachable: While it is False, every call raises `StoreUnavailable`.
        reads: Number of look-ups.
    """

    def __init__(self) -> None:
        self.reachable = True
        self.reads = 0

    def _check(self) -> None:
        if not self.reachable:
            raise StoreUnavailable("the in-memory store was made unreachable by the test")


class MemoryKeys(_Store):
    """Adapter of `Keys` for tests."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: dict[str, ApiKey] = {}

    async def add(self, key: ApiKey) -> None:
        """As `Keys.add`."""
        self._check()
        if any(_collide(key, other) for other in self._keys.values()):
            raise DuplicateKey(f"a key with the id, access key or secret of {key.id} is stored already")
        self._keys[key.id] = key

    async def save(self, key: ApiKey) -> None:
        """As `Keys.save`."""
        self._check()
        if key.id not in self._keys or self._keys[key.id].version != key.version - 1:
            raise Stale(f"key {key.id} is no longer at version {key.version - 1}")
        self._keys[key.id] = key

    async def get(self, key_id: str) -> ApiKey:
        """As `Keys.get`."""
        return self._found(f"there is no key {key_id!r}", id=key_id)

    async def of_access_key(self, access_key: str) -> ApiKey:
        """As `Keys.of_access_key`."""
        return self._found("there is no key with that access key", access_key=access_key)

    async def of_fingerprint(self, fingerprint: str) -> ApiKey:
        """As `Keys.of_fingerprint`."""
        return self._found("there is no key with that secret", fingerprint=fingerprint)

    async def page(self, query: KeyQuery) -> KeyPage:
        """As `Keys.page`."""
        self._check()
        found = [key for _, key in sorted(self._keys.items(), reverse=True) if query.owner in {None, key.owner}]
        return KeyPage(keys=tuple(found[query.offset : query.offset + query.limit]), total=len(found))

    async def after(self, key_id: str, *, limit: int = 100) -> Sequence[ApiKey]:
        """As `Keys.after`."""
        self._check()
        return [key for name, key in sorted(self._keys.items()) if name > key_id][:limit]

    def _found(self, otherwise: str, **wanted: Any) -> ApiKey:
        self._check()
        self.reads += 1
        for key in self._keys.values():
            if all(getattr(key, name) == value for name, value in wanted.items()):
                return key
        raise KeyNotFound(otherwise)


class MemoryUsers(_Store):
    """Adapter of `Users` for tests."""

    def __init__(self) -> None:
        super().__init__()
        self._users: dict[str, User] = {}

    async def add(self, user: User) -> None:
        """As `Users.add`."""
        self._check()
        self._refuse_taken(user)
        self._users[user.id] = user

    async def save(self, user: User) -> None:
        """As `Users.save`."""
        self._check()
        if user.id not in self._users or self._users[user.id].version != user.version - 1:
            raise Stale(f"user {user.id} is no longer at version {user.version - 1}")
        self._refuse_taken(user)
        self._users[user.id] = user

    async def get(self, user_id: str) -> User:
        """As `Users.get`."""
        self._check()
        if user_id not in self._users:
            raise UserNotFound(f"there is no user {user_id!r}")
        return self._users[user_id]

    async def of_email(self, email: str) -> User:
        """As `Users.of_email`."""
        self._check()
        for user in self._users.values():
            if folded(user.email) == folded(email):
                return user
        raise UserNotFound(f"there is no user with the address {email!r}")

    async def page(self, *, limit: int, offset: int) -> UserPage:
        """As `Users.page`."""
        self._check()
        found = [user for _, user in sorted(self._users.items(), reverse=True)]
        return UserPage(users=tuple(found[offset : offset + limit]), total=len(found))

    async def delete(self, user_id: str) -> None:
        """As `Users.delete`."""
        await self.get(user_id)
        del self._users[user_id]

    def _refuse_taken(self, user: User) -> None:
        if any(folded(other.email) == folded(user.email) for other in self._users.values() if other.id != user.id):
            raise EmailTaken(f"another user has the address {user.email}")


class MemoryUsedSignatures(_Store):
    """Adapter of `UsedSignatures` for tests."""

    def __init__(self) -> None:
        super().__init__()
        self._spent: dict[str, datetime] = {}

    async def spend(self, signature: str, *, until: datetime) -> bool:
        """As `UsedSignatures.spend`."""
        self._check()
        return self._spent.setdefault(signature, until) is until

    async def spent(self, signature: str) -> bool:
        """As `UsedSignatures.spent`."""
        self._check()
        return signature in self._spent


def _collide(one: ApiKey, other: ApiKey) -> bool:
    return one.id == other.id or one.access_key == other.access_key or one.fingerprint == other.fingerprint
