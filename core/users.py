"""Users: the people that tasks are for. A task's `user_id` names one, or is an id of the app's own."""

import secrets
from datetime import datetime
from typing import Protocol

from msgspec import Struct


class User(Struct, frozen=True, kw_only=True):
    """
    A stored user.

    Attributes:
        id: Sorts by the time of creation.
        email: As it was given. Unique among all users, ignoring case.
        version: Grows by one with each change.
    """

    id: str
    email: str
    name: str
    created: datetime
    updated: datetime
    version: int = 1


class UserPage(Struct, frozen=True, kw_only=True):
    """One page of a list, newest first, and the number of all users."""

    users: tuple[User, ...]
    total: int


class Users(Protocol):
    """The stored users. Every method raises `StoreUnavailable` if the database is unavailable."""

    async def add(self, user: User) -> None:
        """
        Store a new user, durably.

        Raises:
            EmailTaken: Another user has that address.
        """

    async def save(self, user: User) -> None:
        """
        Replace the stored user whose version is `user.version - 1`, atomically.

        Raises:
            Stale: Another writer was first, or deleted the user.
            EmailTaken: Another user has that address.
        """

    async def get(self, user_id: str) -> User:
        """
        The user of that id.

        Raises:
            UserNotFound: There is none.
        """

    async def of_email(self, email: str) -> User:
        """
        The user with that address, ignoring case.

        Raises:
            UserNotFound: There is none.
        """

    async def page(self, *, limit: int, offset: int) -> UserPage:
        """One page of all users."""

    async def delete(self, user_id: str) -> None:
        """
        Delete a user. Their tasks stay.

        Raises:
            UserNotFound: There is none.
        """


def new_user_id(now: datetime) -> str:
    """An id that sorts by time: the millisecond, then 48 random bits."""
    return f"user_{int(now.timestamp() * 1000):012x}{secrets.token_hex(6)}"


def folded(email: str) -> str:
    """The form in which addresses are compared: without case."""
    return email.casefold()
