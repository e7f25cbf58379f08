"""
Reads and compare-and-sets of many tasks in one round trip, with an outcome for each of them.

A bulk answer of MongoDB tells how many updates matched, not which. So each update of a batch carries its expected
version as an expression that *fails* where the stored one differs: the answer then names that update by its place in
the batch. An update of a task that is gone neither matches nor fails; which ones these are is seen by reading, since a
removed task never comes back.
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
"""So many tasks go in one round trip, at most."""

ALONE_BYTES: Final = 256 * 1024
"""A larger update goes by itself, so that a batch is one message to the server, whatever its tasks hold."""

_CONVERSION_FAILURE: Final = 241
_PASSING: Final = frozenset({6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
"""The server stops, is no primary any more, or ran out of time: what MongoDB's drivers would do again."""


class VersionedUpdate(Struct, frozen=True, kw_only=True):
    """What is to become of the stored task that has that version."""

    task_id: str
    version: int
    update: Document

    @property
    def size_bytes(self) -> int:
        """Of the update, as it is sent."""
        return len(bson.encode(self.update))

    @property
    def refused(self) -> Stale:
        """The outcome where the stored task has another version, or is gone."""
        return Stale(f"task {self.task_id} is no longer at version {self.version}")


async def read_each(tasks: Tasks, task_ids: Sequence[str], projection: Document) -> Sequence[Document | Exception]:
    """The documents of those ids, in their order; `TaskNotFound` for one that there is not."""
    if len(task_ids) == 1:
        one = await tasks.find_one({"_id": task_ids[0]}, projection)
        return [one or TaskNotFound(task_ids[0])]
    documents = await tasks.find({"_id": {"$in": list(task_ids)}}, projection).to_list(None)
    found = {document["_id"]: document for document in documents}
    return [found.get(task_id) or TaskNotFound(task_id) for task_id in task_ids]


async def update_each(tasks: Tasks, updates: Sequence[VersionedUpdate]) -> Sequence[Exception | None]:
    """
    Do each update whose version is the stored one; `Stale` for one whose is not, whatever becomes of the others.

    Raises:
        PyMongoError, StoreUnavailable: It is not known what was done.
    """
    if len(updates) == 1:
        return [await _update(tasks, updates[0])]
    try:
        done = await tasks.bulk_write([_guarded(update) for update in updates], ordered=False)
    except BulkWriteError as error:
        answer: Mapping[str, Any] = error.details or {}
        if answer.get("writeConcernErrors"):
            raise StoreUnavailable("MongoDB did not confirm that the tasks are kept") from error
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
    """That update, which fails where the version differs: a text that is no number cannot be converted to one."""
    no_number = {"$concat": ["version of ", "$_id"]}
    same = {"$cond": [{"$eq": ["$version", update.version]}, 1, {"$toInt": no_number}]}
    return UpdateOne({"_id": update.task_id, "$expr": same}, update.update)


def _refusal(update: VersionedUpdate, error: Mapping[str, Any]) -> Exception:
    if error["code"] == _CONVERSION_FAILURE:
        return update.refused
    if error["code"] in _PASSING:
        return StoreUnavailable(f"MongoDB could not save task {update.task_id}: {error.get('errmsg', '')}")
    return OperationFailure(error.get("errmsg", ""), error["code"], dict(error))
