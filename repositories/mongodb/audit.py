"""Audit log in MongoDB: rows begun before the effect, ended in the background, deleted by age."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING, IndexModel, InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError
from pymongo.write_concern import WriteConcern

from core.audit import AuditEnding, AuditQuery, AuditRow
from core.errors import AuditFailed, StoreUnavailable
from repositories.group_commit import GroupCommit
from repositories.mongodb.audit_documents import AUDIT_COLLECTION, changes_of, document_of_row, filter_of, row_of
from repositories.mongodb.client import Database, server_of, store_errors
from repositories.mongodb.deferred_writes import MOST_AT_ONCE, DeferredWrites
from repositories.mongodb.task_documents import Document

KEPT: Final = timedelta(days=90)
LONGEST_SEARCH_S: Final = 10.0

_REFUSED: Final = "the audit log refused the row; nothing was done"
_TTL_INDEX: Final = "rows_by_age"
_INDEX_OPTIONS_CONFLICT: Final = 85


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
