"""
Audit log in MongoDB: rows begun before the effect, ended in the background, deleted by age.

A row's document has the fields of `AuditRow`, with `_id` for `id`, and `detail` as a JSON text.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextvars import Context
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final, TypeAlias

import msgspec
import structlog
from pymongo import ASCENDING, DESCENDING, IndexModel, InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError
from pymongo.write_concern import WriteConcern

from core.audit import Action, AuditEnding, AuditQuery, AuditRow
from core.errors import AuditFailed, StoreUnavailable
from core.random_ids import row_ids_from
from repositories.group_commit import GroupCommit
from repositories.mongodb.client import Database, server_of, store_errors
from repositories.mongodb.task_documents import Document

AUDIT_COLLECTION: Final = "audit"
KEPT: Final = timedelta(days=90)
LONGEST_SEARCH_S: Final = 10.0

_REFUSED: Final = "the audit log refused the row; nothing was done"
_ACTIONS: Final = frozenset(Action)
_TTL_INDEX: Final = "rows_by_age"
_INDEX_OPTIONS_CONFLICT: Final = 85
_DUPLICATE_KEY: Final = 11000

Write: TypeAlias = "InsertOne[Document] | UpdateOne"

GATHER_S: Final = 0.1
"""Writes within this time go in one batch."""
MOST_AT_ONCE: Final = 500
MOST_WAITING: Final = 20_000
"""Pending writes while MongoDB is unavailable; further ones are lost."""
_PAUSE_S: Final = 1.0
_LAST_TRY_S: Final = 3.0

log = structlog.get_logger(__name__)


def _index(field: str, name: str) -> IndexModel:
    """By a field that not every row has, then by id, which gives the order."""
    return IndexModel(
        [(field, ASCENDING), ("_id", DESCENDING)], name=name, partialFilterExpression={field: {"$exists": True}}
    )


_INDEXES: Final = {
    "target": _index("target", "rows_of_target"),
    "request_id": _index("request_id", "rows_of_request"),
    "key_id": _index("key_id", "rows_of_key"),
    "owner": _index("owner", "rows_of_owner"),
}
"""By the field that a query filters by, the most selective first. A query by other fields scans the rows."""


class MongoAuditLog:
    """
    Adapter of `AuditLog`: the collection `audit`, whose rows the database deletes by their age.

    Args:
        database: The database of the tasks.
        kept: How long rows are kept.
    """

    def __init__(self, database: Database, *, kept: timedelta = KEPT) -> None:
        self._database = database
        self._kept_s = int(kept.total_seconds())
        self._rows = database.get_collection(AUDIT_COLLECTION)
        self._begin = GroupCommit[Document, None](self._insert, most=MOST_AT_ONCE)
        self._later = DeferredWrites(database.get_collection(AUDIT_COLLECTION, write_concern=WriteConcern(1)))

    async def prepare(self) -> None:
        """
        Create the missing indexes, and set how long rows are kept to `kept`.

        Raises:
            StoreUnavailable: MongoDB is unavailable.
        """
        by_age = IndexModel([("at", ASCENDING)], name=_TTL_INDEX, expireAfterSeconds=self._kept_s)
        with store_errors(server_of(self._database)):
            await self._rows.create_indexes(list(_INDEXES.values()))
            try:
                await self._rows.create_indexes([by_age])
            except OperationFailure as error:
                if error.code != _INDEX_OPTIONS_CONFLICT:
                    raise
                change = {"name": _TTL_INDEX, "expireAfterSeconds": self._kept_s}
                await self._database.command("collMod", AUDIT_COLLECTION, index=change)

    async def begin(self, row: AuditRow) -> None:
        """As `AuditLog.begin`."""
        await self._begin(document_of_row(row))

    def end(self, ending: AuditEnding) -> None:
        """As `AuditLog.end`."""
        self._later.write(UpdateOne({"_id": ending.id}, {"$set": changes_of(ending)}))

    def note(self, row: AuditRow) -> None:
        """As `AuditLog.note`."""
        self._later.write(InsertOne(document_of_row(row)))

    async def page(self, query: AuditQuery) -> Sequence[AuditRow]:
        """As `AuditLog.page`."""
        index = next((_INDEXES[field].document["name"] for field in _INDEXES if getattr(query, field)), "_id_")
        with store_errors(server_of(self._database)):
            found = self._rows.find(filter_of(query)).sort("_id", DESCENDING).hint(index).limit(query.limit)
            return [row_of(document) async for document in found.max_time_ms(int(LONGEST_SEARCH_S * 1000))]

    async def aclose(self) -> None:
        """Write the pending rows and outcomes, if MongoDB is available. Call it before the client is closed."""
        await self._later.aclose()

    async def _insert(self, documents: Sequence[Document]) -> Sequence[Exception | None]:
        """Rows of the same moment share a write, in which each is stored or refused by itself."""
        outcomes: list[Exception | None] = [None] * len(documents)
        try:
            with store_errors(server_of(self._database)):
                await self._rows.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            details: Mapping[str, Any] = error.details
            if details.get("writeConcernErrors"):
                raise StoreUnavailable("MongoDB did not confirm a row of the audit log") from error
            for problem in details["writeErrors"]:
                outcomes[problem["index"]] = AuditFailed(_REFUSED)
        except PyMongoError as error:
            raise AuditFailed(_REFUSED) from error
        return outcomes


def document_of_row(row: AuditRow) -> Document:
    """The row's document; `detail` may hold JSON values that BSON cannot."""
    values: dict[str, Any] = msgspec.to_builtins(row, builtin_types=(datetime,))
    values["_id"] = values.pop("id")
    values["outcome"] = row.outcome.value
    if "detail" in values:
        values["detail"] = msgspec.json.encode(row.detail).decode()
    return values


def row_of(document: Document) -> AuditRow:
    """The row of a document. An action that this version does not know, such as a newer one, is `other`."""
    fields = {**document, "id": document["_id"]}
    if fields["action"] not in _ACTIONS:
        fields["action"] = Action.OTHER
    if "detail" in fields:
        fields["detail"] = msgspec.json.decode(fields["detail"])
    return msgspec.convert(fields, AuditRow)


def changes_of(ending: AuditEnding) -> Document:
    """The fields that an ending sets."""
    values: dict[str, Any] = msgspec.to_builtins(ending)
    del values["id"]
    return values


def filter_of(query: AuditQuery) -> Document:
    """The filter of a query. Times are compared with the ids, which begin with the time."""
    names = ("action", "outcome", "owner", "key_id", "target", "provider", "request_id")
    conditions: Document = {name: str(value) for name in names if (value := getattr(query, name)) is not None}
    ids: Document = {}
    if query.since is not None:
        ids["$gte"] = row_ids_from(query.since)
    until = None if query.until is None else row_ids_from(query.until)
    if before := min(filter(None, (query.after, until)), default=None):
        ids["$lt"] = before
    return {**conditions, "_id": ids} if ids else conditions


class DeferredWrites:
    """
    Small writes to one collection that no caller awaits, in batches, in the background.

    While MongoDB is unavailable, writes wait in memory.

    Args:
        collection: A collection of motor.
    """

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        self._waiting: deque[Write] = deque()
        self._writer: asyncio.Task[None] | None = None

    def write(self, write: Write) -> None:
        """Write it in the next batch. Never raises."""
        if len(self._waiting) >= MOST_WAITING:
            log.error("audit_write_lost", reason=f"{MOST_WAITING} writes are pending already")
            return
        self._waiting.append(write)
        if self._writer is None:
            # without the caller's context variables: they are bound to its request
            self._writer = asyncio.get_running_loop().create_task(self._run(), context=Context())

    async def aclose(self) -> None:
        """Write the pending writes, unless MongoDB is unavailable."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])
        try:
            async with asyncio.timeout(_LAST_TRY_S):
                while self._waiting:
                    await self._write_some()
        except (TimeoutError, PyMongoError) as error:
            log.warning("audit_write_lost", count=len(self._waiting), reason=type(error).__name__)

    async def _run(self) -> None:
        pause_s = GATHER_S
        try:
            while self._waiting:
                await asyncio.sleep(pause_s)
                pause_s = GATHER_S
                try:
                    await self._write_some()
                except PyMongoError as error:
                    log.warning("audit_write_delayed", count=len(self._waiting), reason=type(error).__name__)
                    pause_s = _PAUSE_S
        finally:
            self._writer = None

    async def _write_some(self) -> None:
        """Write the oldest ones. They leave the queue once each of them is written or refused."""
        some = list(islice(self._waiting, MOST_AT_ONCE))
        try:
            await self._collection.bulk_write(some, ordered=False)
        except BulkWriteError as error:
            _report_refused(error.details["writeErrors"])
        for _ in some:
            self._waiting.popleft()


def _report_refused(errors: Sequence[dict[str, Any]]) -> None:
    """Log refused writes. A duplicate key is not one: the row was written before, and the response was lost."""
    refused = [error for error in errors if error["code"] != _DUPLICATE_KEY]
    if refused:
        log.error("audit_write_lost", count=len(refused), code=refused[0]["code"])
