"""Use cases of users: create, read, change, delete."""

from typing import Annotated

import structlog
from msgspec import Meta, Struct, structs

from core.clock import Clock
from core.optimistic import until_first
from core.users import User, UserPage, Users, new_user_id

Email = Annotated[
    str,
    Meta(
        max_length=100,
        pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+\.[^@\s\x00-\x1f]+$(?!\n)",
        description="an e-mail address of at most 100 characters",
    ),
]
PersonName = Annotated[
    str,
    Meta(pattern=r"^[^\s\x00-\x1f][^\x00-\x1f]{0,48}[^\s\x00-\x1f]$(?!\n)", description="2 to 50 characters"),
]

log = structlog.get_logger(__name__)


class UserOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of a new user."""

    email: Email
    name: PersonName


class UserChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes of a user. A field that is not given stays as it is."""

    email: Email | None = None
    name: PersonName | None = None


class UserDirectory:
    """
    Creates, reads, changes and deletes users.

    Args:
        users: The stored users.
        clock: Time.
    """

    def __init__(self, users: Users, clock: Clock) -> None:
        self._users = users
        self._clock = clock

    async def create(self, order: UserOrder) -> User:
        """
        Create a user.

        Raises:
            EmailTaken: Another user has that address.
        """
        now = self._clock()
        user = User(id=new_user_id(now), email=order.email, name=order.name, created=now, updated=now)
        await self._users.add(user)
        log.info("user_created", user_id=user.id)
        return user

    async def get(self, user_id: str) -> User:
        """
        A user.

        Raises:
            UserNotFound: No user has that id.
        """
        return await self._users.get(user_id)

    async def of_email(self, email: str) -> User:
        """
        The user with that address; upper and lower case are the same.

        Raises:
            UserNotFound: No user has it.
        """
        return await self._users.of_email(email)

    async def page(self, *, limit: int, offset: int) -> UserPage:
        """One page of all users, newest first."""
        return await self._users.page(limit=limit, offset=offset)

    async def change(self, user_id: str, change: UserChange) -> User:
        """
        Change a user; returns it as changed.

        Raises:
            UserNotFound: No user has that id.
            EmailTaken: Another user has that address.
            Stale: Concurrent changes kept winning; try again.
        """
        return await until_first(lambda: self._change(user_id, change))

    async def delete(self, user_id: str) -> User:
        """
        Delete a user; returns it as it was. Tasks that name it stay.

        Raises:
            UserNotFound: No user has that id (any more).
        """
        user = await self._users.get(user_id)
        await self._users.delete(user_id)
        log.info("user_deleted", user_id=user_id)
        return user

    async def _change(self, user_id: str, change: UserChange) -> User:
        user = await self._users.get(user_id)
        given = {name: value for name, value in structs.asdict(change).items() if value is not None}
        changed = structs.replace(user, **given, updated=self._clock(), version=user.version + 1)
        await self._users.save(changed)
        return changed
