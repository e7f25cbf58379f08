"""Users: whom an app's tasks are for. A task names one by `user_id`, which may as well be a word of the app's own."""

import secrets
from datetime import datetime
from typing import Protocol

from msgspec import Struct


class User(Struct, frozen=True, kw_only=True):
    """
    A user on record.

    Attributes:
        id: Sorts by the time of creation.
        email: As it was given; no two users have the same, whatever the case of its letters.
        version: Grows by one with each change.
    """

    id: str
    email: str
    name: str
    created: datetime
    updated: datetime
    version: int = 1


class UserPage(Struct, frozen=True, kw_only=True):
    """One page of a list, newest first, and how many there are in all."""

    users: tuple[User, ...]
    total: int


class Users(Protocol):
    """The users on record. Every method raises `StoreUnavailable` where the database cannot be reached."""

    async def add(self, user: User) -> None:
        """
        Store a new user, durably.

        Raises:
            EmailTaken: Another one has that address.
        """

    async def save(self, user: User) -> None:
        """
        Replace the stored user whose version is `user.version - 1`, atomically.

        Raises:
            Stale: Somebody else wrote first, or removed it.
            EmailTaken: Another one has that address.
        """

    async def get(self, user_id: str) -> User:
        """
        The user of that id.

        Raises:
            UserNotFound: There is none.
        """

    async def of_email(self, email: str) -> User:
        """
        The user with that address, whatever the case of its letters.

        Raises:
            UserNotFound: There is none.
        """

    async def page(self, *, limit: int, offset: int) -> UserPage:
        """One page of all users."""

    async def delete(self, user_id: str) -> None:
        """
        Remove a user. Their tasks stay.

        Raises:
            UserNotFound: There is none.
        """


def new_user_id(now: datetime) -> str:
    """An id that sorts by time: the millisecond, then 48 random bits."""
    return f"user_{int(now.timestamp() * 1000):012x}{secrets.token_hex(6)}"


def folded(email: str) -> str:
    """What two addresses that count as the same have in common."""
    return email.casefold()
