"""Inserts of new tasks: creates of the same moment share one journaled write, preceded by that of their audit rows."""

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
from repositories.mongodb.audit import AUDIT_COLLECTION, document_of_row
from repositories.mongodb.client import Database, server_of, store_errors
from repositories.mongodb.task_documents import Document

MOST_AT_ONCE: Final = 500
MOST_BYTES_AT_ONCE: Final = 8 * 2**20
WRITES_AT_ONCE: Final = 2
"""A second write may begin while the journal is flushed for the first; the next flush then follows without a pause."""

LARGEST_BYTES: Final = 16 * 2**20
"""MongoDB's limit for one document."""

_DUPLICATE_KEY: Final = 11000
_INTERRUPTED: Final = frozenset({91, 189, 10107, 11600, 11602, 13435, 13436})
"""Codes of a server that stops, or is no longer primary."""

_Errors: TypeAlias = Mapping[int, Mapping[str, Any]]
"""The server's errors about documents of a write, by their index."""


class _Done(NamedTuple):
    """The errors of single documents of a write, and the election id of the primary that did it."""

    problems: _Errors
    election: object


class NewTask(Struct, frozen=True, kw_only=True):
    """An encoded document and its encoded row: an encoding error affects its caller only, before any shared write."""

    id: str
    document: bytes
    row: bytes | None


class TaskInserts:
    """
    Inserts documents of tasks.

    The rows are written first, and not journaled: the write of the tasks that follows is, and with it all that the
    server wrote before. So both writes are repeated after a lost connection, which the driver would not do; what was
    written the first time then is a duplicate. The server may also restart between the two writes, which the driver
    hides if no connection was in use. This is detected by the election id: the rows are then written once more before
    the callers get an outcome.

    Args:
        database: Its write concern makes a task durable.
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
        Store a document, durably, and before it a row. A connection error is the outcome of all callers of the write.

        Raises:
            AuditFailed: The row cannot be written; the document is not stored.
            DuplicateTask: A task with that id is stored already.
            IdempotencyKeyTaken: A task with that idempotency key is stored already, and durably.
            ReplayedRequest: A task with that signature is stored already.
            TaskTooLarge: The document exceeds MongoDB's limit.
            StoreUnavailable: The document may be stored all the same.
        """
        data = bson.encode(document)
        if len(data) > LARGEST_BYTES:
            raise TaskTooLarge(f"the task has {len(data)} bytes; at most {LARGEST_BYTES} can be stored")
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
        """Both writes in one call on a driver thread: on a busy event loop a second call costs more than the rows."""
        loop = asyncio.get_running_loop()
        outcomes: Sequence[Exception | None] = await run_on_executor(loop, self._write, tasks, again=again)  # type: ignore[no-untyped-call]
        return outcomes

    def _write(self, tasks: Sequence[NewTask], *, again: bool) -> Sequence[Exception | None]:
        outcomes: list[Exception | None] = [None] * len(tasks)
        refused, rows_election = self._write_rows(tasks, again=again)
        for index in refused:
            outcomes[index] = AuditFailed("the audit log refused the row of a new task")
        audited = [index for index, outcome in enumerate(outcomes) if outcome is None]
        done = self._command("tasks", [tasks[index].document for index in audited], self._durable, again)
        if audited and done.election != rows_election:
            # the server restarted between the writes, unnoticed by the driver: rows that were not journaled may be lost
            rows = [row for index in audited if (row := tasks[index].row) is not None]
            self._command(AUDIT_COLLECTION, rows, self._durable, True)
        for place, problem in done.problems.items():
            index = audited[place]
            outcomes[index] = _error_of(problem, tasks[index])
        return outcomes

    def _write_rows(self, tasks: Sequence[NewTask], *, again: bool) -> tuple[Sequence[int], object]:
        """Write the rows. Returns the indexes of tasks whose row was refused, and the election id of the primary."""
        given = [(index, task.row) for index, task in enumerate(tasks) if task.row is not None]
        try:
            done = self._command(AUDIT_COLLECTION, [row for _, row in given], {"w": 1}, again)
        except ConnectionFailure:
            raise
        except PyMongoError:
            return [index for index, _ in given], None
        return [given[place][0] for place in done.problems], done.election

    def _command(self, collection: str, documents: Sequence[bytes], concern: Mapping[str, Any], again: bool) -> _Done:
        """Insert the documents. On a second try (`again`), documents of the first are duplicates and not errors."""
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
    """Whether the error is that a document with that id exists."""
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
