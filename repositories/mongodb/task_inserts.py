"""New tasks into MongoDB: callers at the same moment share one journaled write, with the audit rows before it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import bson
from bson.raw_bson import RawBSONDocument
from motor.frameworks.asyncio import run_on_executor
from msgspec import Struct
from pymongo.database import Database as BlockingDatabase
from pymongo.errors import AutoReconnect, ConnectionFailure, PyMongoError, ServerSelectionTimeoutError, WriteError

from core.audit import AuditRow
from core.errors import (
    REPLAYED,
    AuditFailed,
    DuplicateTask,
    IdempotencyKeyTaken,
    ReplayedRequest,
    StoreUnavailable,
    TaskTooLarge,
)
from repositories.group_commit import GroupCommit
from repositories.mongodb.audit_documents import AUDIT_COLLECTION, document_of_row
from repositories.mongodb.client import Database, server_of, store_errors
from repositories.mongodb.task_documents import Document

MOST_AT_ONCE: Final = 500
MOST_BYTES_AT_ONCE: Final = 8 * 2**20
WRITES_AT_ONCE: Final = 2
"""The one that comes while the journal is flushed is in the next flush, without a pause between."""

LARGEST_BYTES: Final = 16 * 2**20
"""MongoDB's limit for one document."""

_DUPLICATE_KEY: Final = 11000
_INTERRUPTED: Final = frozenset({91, 189, 10107, 11600, 11602, 13435, 13436})
"""Codes of a server that stops, or is the primary no longer."""

_Errors: TypeAlias = Mapping[int, Mapping[str, Any]]
"""What the server says about documents of a write, by their index."""


class _Done(NamedTuple):
    """What is wrong with single documents of a write, and the election of the primary that did it."""

    problems: _Errors
    election: object


class NewTask(Struct, frozen=True, kw_only=True):
    """A document and its row, encoded already: a caller's defect is met before it shares a write with others."""

    id: str
    document: bytes
    row: bytes | None


class TaskInserts:
    """
    Inserts documents of tasks.

    Rows are written first and not journaled: the tasks that follow are, and with them all that the server wrote before.
    So a lost connection begins both again, which the driver would not do; what was written before is met as a
    duplicate. A server that began anew between the two, which the driver hides where no connection was in use, is known
    by its election: the rows are then written once more before anybody is told.

    Args:
        database: Its write concern is what makes a task durable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._blocking: BlockingDatabase[Document] = database.delegate
        self._durable = database.write_concern.document
        self._commit: GroupCommit[NewTask, None] = GroupCommit(
            self._insert, most=MOST_AT_ONCE, most_bytes=MOST_BYTES_AT_ONCE, at_once=WRITES_AT_ONCE
        )

    async def insert(self, document: Document, row: AuditRow | None = None) -> None:
        """
        Store a document, durably, and before it a row. An error of the connection is that of all in the same write.

        Raises:
            AuditFailed: The row cannot be written; the document is not stored.
            DuplicateTask: That id is stored already.
            IdempotencyKeyTaken: A task with that idempotency key is; no less durable than this one would be.
            ReplayedRequest: A task with that signature is.
            TaskTooLarge: MongoDB cannot hold it.
            StoreUnavailable: It may be stored all the same.
        """
        data = bson.encode(document)
        if len(data) > LARGEST_BYTES:
            raise TaskTooLarge(f"a record of {len(data)} bytes is more than a task may have: {LARGEST_BYTES}")
        row_data = None if row is None else bson.encode(document_of_row(row))
        task = NewTask(id=document["_id"], document=data, row=row_data)
        await self._commit(task, size_bytes=len(data) + len(row_data or b""))

    async def _insert(self, tasks: Sequence[NewTask]) -> Sequence[Exception | None]:
        with store_errors(server_of(self._database)):
            try:
                return await self._written(tasks, again=False)
            except ServerSelectionTimeoutError:
                raise
            except AutoReconnect:
                return await self._written(tasks, again=True)

    async def _written(self, tasks: Sequence[NewTask], *, again: bool) -> Sequence[Exception | None]:
        """Both writes in one visit to the driver's threads: on a busy loop each visit costs more than the rows do."""
        loop = asyncio.get_running_loop()
        outcomes: Sequence[Exception | None] = await run_on_executor(loop, self._write, tasks, again=again)  # type: ignore[no-untyped-call]
        return outcomes

    def _write(self, tasks: Sequence[NewTask], *, again: bool) -> Sequence[Exception | None]:
        outcomes: list[Exception | None] = [None] * len(tasks)
        refused, rows_election = self._write_rows(tasks, again=again)
        for index in refused:
            outcomes[index] = AuditFailed("the audit log does not take the row of a new task")
        audited = [index for index, outcome in enumerate(outcomes) if outcome is None]
        done = self._command("tasks", [tasks[index].document for index in audited], self._durable, again)
        if audited and done.election != rows_election:
            # The server began anew between the two, unnoticed by the driver: rows that were not journaled may be gone.
            rows = [row for index in audited if (row := tasks[index].row) is not None]
            self._command(AUDIT_COLLECTION, rows, self._durable, True)
        for place, problem in done.problems.items():
            index = audited[place]
            outcomes[index] = _error_of(problem, tasks[index])
        return outcomes

    def _write_rows(self, tasks: Sequence[NewTask], *, again: bool) -> tuple[Sequence[int], object]:
        """Write them; answers the indexes of the tasks whose row was refused, and the election of the primary."""
        given = [(index, task.row) for index, task in enumerate(tasks) if task.row is not None]
        try:
            done = self._command(AUDIT_COLLECTION, [row for _, row in given], {"w": 1}, again)
        except ConnectionFailure:
            raise
        except PyMongoError:
            return [index for index, _ in given], None
        return [given[place][0] for place in done.problems], done.election

    def _command(self, collection: str, documents: Sequence[bytes], concern: Mapping[str, Any], again: bool) -> _Done:
        """Insert, and answer what is wrong with single documents; of a second try, without those of the first."""
        if not documents:
            return _Done({}, None)
        command = {"insert": collection, "ordered": False, "writeConcern": concern}
        answer = self._blocking.command(command | {"documents": list(map(RawBSONDocument, documents))})
        if unconfirmed := answer.get("writeConcernError"):
            self._refuse(unconfirmed)
        problems = {problem["index"]: problem for problem in answer.get("writeErrors", ())}
        left = {index: problem for index, problem in problems.items() if not (again and _is_stored(problem))}
        return _Done(left, answer.get("electionId"))

    def _refuse(self, unconfirmed: Mapping[str, Any]) -> None:
        if unconfirmed["code"] in _INTERRUPTED:
            raise AutoReconnect(unconfirmed.get("errmsg", ""))
        server = server_of(self._database)
        raise StoreUnavailable(f"MongoDB at {server} did not confirm a write: {unconfirmed.get('errmsg', '')}")


def _is_stored(problem: Mapping[str, Any]) -> bool:
    """Whether a document with that id is there already."""
    return problem["code"] == _DUPLICATE_KEY and set(problem.get("keyPattern", ())) == {"_id"}


def _error_of(problem: Mapping[str, Any], task: NewTask) -> Exception:
    if problem["code"] != _DUPLICATE_KEY:
        return WriteError(problem.get("errmsg", ""), problem["code"], dict(problem))
    match list(problem.get("keyPattern", ())):
        case ["replay"]:
            return ReplayedRequest(REPLAYED)
        case ["idempotency.key"]:
            return IdempotencyKeyTaken("a task with the same Idempotency-Key is stored already")
        case _:
            return DuplicateTask(f"task {task.id} is stored already")
