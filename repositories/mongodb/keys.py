"""API keys in MongoDB: the collection `api_keys`."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from core.errors import DuplicateKey, KeyNotFound, Stale
from core.keys import ApiKey, KeyPage, KeyQuery
from repositories.mongodb.client import Database, server_of, store_errors
from repositories.mongodb.task_documents import Document

_INDEXES: Final = (
    IndexModel([("access_key", ASCENDING)], name="access_keys", unique=True),
    IndexModel([("fingerprint", ASCENDING)], name="fingerprints", unique=True),
    IndexModel([("owner", ASCENDING), ("_id", DESCENDING)], name="keys_of_owner"),
)


class MongoKeys:
    """Adapter of `Keys`: the collection `api_keys`, with the fields of `ApiKey`, and `_id` for `id`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys = database.get_collection("api_keys")

    async def prepare(self) -> None:
        """Create the missing indexes."""
        with self._errors():
            await self._keys.create_indexes(list(_INDEXES))

    async def add(self, key: ApiKey) -> None:
        """As `Keys.add`."""
        try:
            with self._errors():
                await self._keys.insert_one(document_of_key(key))
        except DuplicateKeyError as error:
            raise DuplicateKey(f"a key with the id, access key or secret of {key.id} is stored already") from error

    async def save(self, key: ApiKey) -> None:
        """As `Keys.save`."""
        with self._errors():
            done = await self._keys.replace_one({"_id": key.id, "version": key.version - 1}, document_of_key(key))
        if not done.matched_count:
            raise Stale(f"key {key.id} is no longer at version {key.version - 1}")

    async def get(self, key_id: str) -> ApiKey:
        """As `Keys.get`."""
        return await self._found({"_id": key_id}, f"there is no key {key_id!r}")

    async def of_access_key(self, access_key: str) -> ApiKey:
        """As `Keys.of_access_key`."""
        return await self._found({"access_key": access_key}, "there is no key with that access key")

    async def of_fingerprint(self, fingerprint: str) -> ApiKey:
        """As `Keys.of_fingerprint`."""
        return await self._found({"fingerprint": fingerprint}, "there is no key with that secret")

    async def page(self, query: KeyQuery) -> KeyPage:
        """As `Keys.page`."""
        conditions = {} if query.owner is None else {"owner": query.owner}
        with self._errors():
            found = self._keys.find(conditions).sort("_id", DESCENDING).skip(query.offset).limit(query.limit)
            documents, total = await asyncio.gather(found.to_list(None), self._keys.count_documents(conditions))
        return KeyPage(keys=tuple(map(key_of, documents)), total=total)

    async def after(self, key_id: str, *, limit: int = 100) -> Sequence[ApiKey]:
        """As `Keys.after`."""
        with self._errors():
            found = self._keys.find({"_id": {"$gt": key_id}}).sort("_id", ASCENDING).limit(limit)
            return [key_of(document) for document in await found.to_list(None)]

    async def _found(self, conditions: Document, otherwise: str) -> ApiKey:
        with self._errors():
            document = await self._keys.find_one(conditions)
        if document is None:
            raise KeyNotFound(otherwise)
        return key_of(document)

    def _errors(self) -> Any:
        return store_errors(server_of(self._database))


def document_of_key(key: ApiKey) -> Document:
    """The key's document."""
    values: Document = msgspec.to_builtins(key, builtin_types=(datetime, bytes))
    values["_id"] = values.pop("id")
    values["version"] = key.version
    return values


def key_of(document: Document) -> ApiKey:
    """The key of a document; fields of a newer version are ignored."""
    return msgspec.convert({**document, "id": document["_id"]}, ApiKey)
