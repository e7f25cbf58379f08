"""
Documents of tasks in MongoDB: their fields, and reads and compare-and-set updates of many in one round trip.

A document has the fields of `Task` under their names, with `_id` for `id`, and times as dates. A field that is None or
empty is left out. Three fields are JSON texts, because BSON cannot hold every JSON value (big integers, `$ref`, NUL in
a key): `metadata`, `fallbacks`, and `input`, which is not part of `Task`. A large input is in GridFS, and `input_file`
names it.

A save never changes three fields. `cancel_requested` is set by a cancellation request and deleted by a retry.
`idempotency` and `replay` are written with the task; they have unique indexes, and a conflict there must never prevent
a save of what a vendor did.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

import bson
import msgspec
from motor.motor_asyncio import AsyncIOMotorCollection
from msgspec import Struct, structs
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, OperationFailure

from core.errors import Stale, StoreUnavailable, TaskNotFound
from core.task_repository import TaskQuery
from core.task_states import PHASES, State, Status
from core.tasks import Result, Task, TaskInput, TaskSummary
from polyrelay import TaskType

Document: TypeAlias = dict[str, Any]
"""A MongoDB document."""

INLINE_LIMIT_BYTES: Final = 256 * 1024
"""Inputs of this size and above go to GridFS: a document may have 16 MiB, a request body 20 MiB."""

# old documents may have fields that were renamed or dropped, and any may have those of a newer server: both are ignored
_FIELDS: Final = tuple(field.name for field in structs.fields(Task) if field.name != "id")
_SAVED: Final = tuple(name for name in _FIELDS if name not in {"cancel_requested", "idempotency", "replay"})
_PLAIN: Final = frozenset({str, int, float, bool, datetime})
_COLLECTIONS: Final = frozenset({"metadata", "fallbacks", "attempts", "results", "quotas"})
_JSON: Final = ("metadata", "fallbacks")

WITH_INPUT: Final[Document] = {"input_file": 0}
"""Projection of what `task_of` needs, and of a small input."""

WITHOUT_INPUT: Final = {"input": 0, "input_file": 0}
"""Projection of what `task_of` needs."""

SUMMARY: Final = {
    **{field.name: 1 for field in structs.fields(TaskSummary) if field.name not in {"id", "results"}},
    **{f"results.{field.name}": 1 for field in structs.fields(Result) if field.name != "text"},
}
"""Projection of what `summary_of` needs: small fields only."""

Tasks: TypeAlias = "AsyncIOMotorCollection[Document]"
"""The collection of tasks."""

AT_ONCE: Final = 100
"""Maximum number of tasks in one round trip."""

ALONE_BYTES: Final = 256 * 1024
"""A larger update is sent by itself, so that a batch always fits into one message to the server."""

_CONVERSION_FAILURE: Final = 241
_TRANSIENT: Final = frozenset({6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
"""Codes of a server that stops, is no longer primary, or timed out: errors after which MongoDB's drivers retry."""


def document_of(task: Task) -> Document:
    """The task's document, without its input."""
    document: Document = {"_id": task.id}
    for name in _FIELDS:
        value = getattr(task, name)
        if value is None or (not value and name in _COLLECTIONS):
            continue
        document[name] = value if type(value) in _PLAIN else _builtins(value)
    for name in document.keys() & _JSON:
        document[name] = msgspec.json.encode(document[name]).decode()
    return document


def update_of(task: Task) -> Document:
    """The update that makes the stored document that of the task; its input is not changed."""
    document = {name: value for name, value in document_of(task).items() if name in _SAVED}
    absent = {name: "" for name in _SAVED if name not in document}
    return {"$set": document, "$unset": absent} if absent else {"$set": document}


def without_cancellation_request(update: Document) -> Document:
    """That update, which also deletes the cancellation request."""
    return {**update, "$unset": {**update.get("$unset", {}), "cancel_requested": ""}}


def task_of(document: Document) -> Task:
    """The task of a document."""
    fields = {**document, "id": document["_id"]}
    for name in document.keys() & _JSON:
        fields[name] = msgspec.json.decode(document[name])
    return msgspec.convert(fields, Task)


def summary_of(document: Document) -> TaskSummary:
    """The summary of a document that was read with the projection `SUMMARY`."""
    return msgspec.convert({**document, "id": document["_id"]}, TaskSummary)


def encode_input(task_input: TaskInput) -> bytes:
    """The input as JSON."""
    return msgspec.json.encode(task_input)


def decode_input(data: bytes) -> TaskInput:
    """The input of its JSON."""
    return msgspec.json.decode(data, type=TaskInput)


def filter_of(query: TaskQuery) -> Document:
    """
    The filter of all tasks of a query, without its `after`.

    A filter that is not empty always names states and types, all of them if the query does not: for each pair of state
    and type the index has a range that is sorted already.
    """
    owned = {"owner": query.owner, "user_id": query.user_id, "provider": query.provider}
    conditions: Document = {name: value for name, value in owned.items() if value is not None}
    if not conditions and query.type is None and query.status is None:
        return {}
    return {**conditions, "state": _states(query.status), "type": query.type or {"$in": sorted(TaskType)}}


def _states(status: Status | None) -> Any:
    if status is None:
        return {"$in": sorted(State)}
    if status is Status.PROCESSING:
        return {"$in": sorted(PHASES)}
    return status.value


def _builtins(value: Any) -> Any:
    return msgspec.to_builtins(value, builtin_types=(datetime, bytes))


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

    The result of a bulk write says how many updates matched, not which. So each update of a batch has its expected
    version as an expression that *fails* where the stored version differs: the result then names that update by its
    index in the batch. An update of a deleted task neither matches nor fails; those are found by reading, since a
    deleted task never comes back.

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
        found_each = await read_each(tasks, [update.task_id for update in updates], {"_id": 1})
        deleted = [index for index, found in enumerate(found_each) if isinstance(found, TaskNotFound)]
        refusals = {index: updates[index].refused for index in deleted} | refusals
    return [refusals.get(index) for index in range(len(updates))]


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
