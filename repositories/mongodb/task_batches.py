"""
Batched reads and compare-and-set updates of tasks: one round trip for many, with an outcome for each.

The result of a bulk write says how many updates matched, not which. So each update of a batch has its expected version
as an expression that *fails* where the stored version differs: the result then names that update by its index in the
batch. An update of a deleted task neither matches nor fails; those are found by reading, since a deleted task never
comes back.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import bson
from motor.motor_asyncio import AsyncIOMotorCollection
from msgspec import Struct
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, OperationFailure

from core.errors import Stale, StoreUnavailable, TaskNotFound
from repositories.mongodb.task_documents import Document

Tasks: TypeAlias = "AsyncIOMotorCollection[Document]"
"""The collection of tasks."""

AT_ONCE: Final = 100
"""Maximum number of tasks in one round trip."""

ALONE_BYTES: Final = 256 * 1024
"""A larger update is sent by itself, so that a batch always fits into one message to the server."""

_CONVERSION_FAILURE: Final = 241
_TRANSIENT: Final = frozenset({6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
"""Codes of a server that stops, is no longer primary, or timed out: errors after which MongoDB's drivers retry."""


class VersionedUpdate(Struct, frozen=True, kw_only=True):
    """An update of the stored task, if it has that version."""

    task_id: str
    version: int
    update: Document

    @property
    def size_bytes(self) -> int:
        """Size of the update, as it is sent."""
        return len(bson.encode(self.update))

    @property
    def refused(self) -> Stale:
        """The outcome where the stored task has another version, or was deleted."""
        return Stale(f"task {self.task_id} is no longer at version {self.version}")


async def read_each(tasks: Tasks, task_ids: Sequence[str], projection: Document) -> Sequence[Document | Exception]:
    """The documents of those ids, in their order; `TaskNotFound` for an id without a document."""
    if len(task_ids) == 1:
        one = await tasks.find_one({"_id": task_ids[0]}, projection)
        return [one or TaskNotFound(task_ids[0])]
    documents = await tasks.find({"_id": {"$in": list(task_ids)}}, projection).to_list(None)
    found = {document["_id"]: document for document in documents}
    return [found.get(task_id) or TaskNotFound(task_id) for task_id in task_ids]


async def update_each(tasks: Tasks, updates: Sequence[VersionedUpdate]) -> Sequence[Exception | None]:
    """
    Do each update whose version is the stored one. The outcome of any other is `Stale`; it does not affect the rest.

    Raises:
        PyMongoError, StoreUnavailable: It is not known which updates were done.
    """
    if len(updates) == 1:
        return [await _update(tasks, updates[0])]
    try:
        done = await tasks.bulk_write([_guarded(update) for update in updates], ordered=False)
    except BulkWriteError as error:
        answer: Mapping[str, Any] = error.details or {}
        if answer.get("writeConcernErrors"):
            raise StoreUnavailable("MongoDB did not confirm a write of tasks") from error
        refusals = {each["index"]: _refusal(updates[each["index"]], each) for each in answer["writeErrors"]}
        matched = answer["nMatched"]
    else:
        refusals, matched = {}, done.matched_count
    if matched + len(refusals) < len(updates):
        there = await read_each(tasks, [update.task_id for update in updates], {"_id": 1})
        gone = [place for place, found in enumerate(there) if isinstance(found, TaskNotFound)]
        refusals = {place: updates[place].refused for place in gone} | refusals
    return [refusals.get(place) for place in range(len(updates))]


async def _update(tasks: Tasks, update: VersionedUpdate) -> Stale | None:
    done = await tasks.update_one({"_id": update.task_id, "version": update.version}, update.update)
    return None if done.matched_count else update.refused


def _guarded(update: VersionedUpdate) -> UpdateOne:
    """The update, which fails where the version differs: its expression converts a text that is not a number."""
    no_number = {"$concat": ["version of ", "$_id"]}
    same = {"$cond": [{"$eq": ["$version", update.version]}, 1, {"$toInt": no_number}]}
    return UpdateOne({"_id": update.task_id, "$expr": same}, update.update)


def _refusal(update: VersionedUpdate, error: Mapping[str, Any]) -> Exception:
    if error["code"] == _CONVERSION_FAILURE:
        return update.refused
    if error["code"] in _TRANSIENT:
        return StoreUnavailable(f"MongoDB could not save task {update.task_id}: {error.get('errmsg', '')}")
    return OperationFailure(error.get("errmsg", ""), error["code"], dict(error))
