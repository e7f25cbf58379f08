"""Users in MongoDB: the collection `users`."""

import asyncio
from datetime import datetime
from typing import Any, Final

import msgspec
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from core.errors import EmailTaken, Stale, UserNotFound
from core.users import User, UserPage, folded
from repositories.mongodb.client import Database, server_of, store_errors
from repositories.mongodb.task_documents import Document

_INDEXES: Final = (IndexModel([("email_folded", ASCENDING)], name="emails", unique=True),)


class MongoUsers:
    """Adapter of `Users`: the collection `users`, with a unique index on `email_folded`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._users = database.get_collection("users")

    async def prepare(self) -> None:
        """Create the missing indexes."""
        with self._errors():
            await self._users.create_indexes(list(_INDEXES))

    async def add(self, user: User) -> None:
        """As `Users.add`."""
        try:
            with self._errors():
                await self._users.insert_one(_document_of(user))
        except DuplicateKeyError as error:
            raise EmailTaken(f"another user has the address {user.email}") from error

    async def save(self, user: User) -> None:
        """As `Users.save`."""
        try:
            with self._errors():
                done = await self._users.replace_one({"_id": user.id, "version": user.version - 1}, _document_of(user))
        except DuplicateKeyError as error:
            raise EmailTaken(f"another user has the address {user.email}") from error
        if not done.matched_count:
            raise Stale(f"user {user.id} is no longer at version {user.version - 1}")

    async def get(self, user_id: str) -> User:
        """As `Users.get`."""
        return await self._found({"_id": user_id}, f"there is no user {user_id!r}")

    async def of_email(self, email: str) -> User:
        """As `Users.of_email`."""
        return await self._found({"email_folded": folded(email)}, f"there is no user with the address {email!r}")

    async def page(self, *, limit: int, offset: int) -> UserPage:
        """As `Users.page`."""
        with self._errors():
            found = self._users.find().sort("_id", DESCENDING).skip(offset).limit(limit)
            documents, total = await asyncio.gather(found.to_list(None), self._users.count_documents({}))
        return UserPage(users=tuple(map(_user_of, documents)), total=total)

    async def delete(self, user_id: str) -> None:
        """As `Users.delete`."""
        with self._errors():
            done = await self._users.delete_one({"_id": user_id})
        if not done.deleted_count:
            raise UserNotFound(f"there is no user {user_id!r}")

    async def _found(self, conditions: Document, otherwise: str) -> User:
        with self._errors():
            document = await self._users.find_one(conditions)
        if document is None:
            raise UserNotFound(otherwise)
        return _user_of(document)

    def _errors(self) -> Any:
        return store_errors(server_of(self._database))


def _document_of(user: User) -> Document:
    values: Document = msgspec.to_builtins(user, builtin_types=(datetime,))
    values["_id"] = values.pop("id")
    values["email_folded"] = folded(user.email)
    return values


def _user_of(document: Document) -> User:
    return msgspec.convert({**document, "id": document["_id"]}, User)
