"""Task repository in MongoDB: the collection `tasks`, and large inputs in GridFS."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec
from bson import ObjectId
from gridfs.errors import CorruptGridFile, NoFile
from motor.motor_asyncio import AsyncIOMotorGridFSBucket
from pymongo import ASCENDING, DESCENDING
from pymongo.read_concern import ReadConcern

from core.audit import AuditRow
from core.errors import (
    AuditFailed,
    DuplicateTask,
    IdempotencyKeyTaken,
    ReplayedRequest,
    Stale,
    TaskNotFound,
    TaskTooLarge,
)
from core.priorities import Priority
from core.task_repository import OverdueTask, QuotaTask, TaskPage, TaskQuery, TaskWithInput, page_of
from core.task_states import OPEN, State
from core.tasks import Task, TaskInput
from repositories.group_commit import GroupCommit
from repositories.mongodb.client import Database, server_of, store_errors
from repositories.mongodb.task_documents import (
    ALONE_BYTES,
    AT_ONCE,
    INLINE_LIMIT_BYTES,
    SUMMARY,
    WITH_INPUT,
    WITHOUT_INPUT,
    Document,
    VersionedUpdate,
    decode_input,
    document_of,
    encode_input,
    filter_of,
    read_each,
    summary_of,
    task_of,
    update_each,
    update_of,
    without_cancellation_request,
)
from repositories.mongodb.task_indexes import IN_QUOTAS, INDEXES, index_for
from repositories.mongodb.task_inserts import TaskInserts

_CHUNK_BYTES: Final = 4 * 1024 * 1024


class MongoTaskRepository:
    """
    Adapter of `TaskRepository`: the collection `tasks` and the GridFS bucket `inputs`.

    A write returns once a majority has journaled it. A write that ends in `StoreUnavailable` may have been done all the
    same: read before you decide. The driver repeats a write once by itself; the server executes it only once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tasks = database.get_collection("tasks")
        self._durable_tasks = database.get_collection("tasks", read_concern=ReadConcern("majority"))
        self._inserts = TaskInserts(database)
        self._inputs = AsyncIOMotorGridFSBucket(database, bucket_name="inputs", chunk_size_bytes=_CHUNK_BYTES)
        self._read = GroupCommit[str, Document](partial(self._documents, WITHOUT_INPUT), most=AT_ONCE)
        self._read_whole = GroupCommit[str, Document](partial(self._documents, WITH_INPUT), most=AT_ONCE)
        self._update = GroupCommit[VersionedUpdate, None](self._updates, most=AT_ONCE)

    async def prepare(self) -> None:
        """
        Create the missing indexes. Any number of processes may do so at once, and again.

        Raises:
            StoreUnavailable: MongoDB is unavailable.
        """
        with self._errors():
            await self._tasks.create_indexes(list(INDEXES))

    async def add(self, task: Task, task_input: TaskInput, *, row: AuditRow | None = None) -> None:
        """As `TaskRepository.add`."""
        data = encode_input(task_input)
        document = document_of(task)
        if len(data) < INLINE_LIMIT_BYTES:
            document["input"] = data
            await self._inserts.insert(document, row)
            return
        with self._errors():
            document["input_file"] = file_id = await self._inputs.upload_from_stream(task.id, data)
            try:
                await self._inserts.insert(document, row)
            except (AuditFailed, DuplicateTask, IdempotencyKeyTaken, ReplayedRequest, TaskTooLarge):
                await self._delete_input(file_id)
                raise

    async def get(self, task_id: str) -> Task:
        """As `TaskRepository.get`."""
        return task_of(await self._read(task_id))

    async def get_with_input(self, task_id: str) -> TaskWithInput:
        """As `TaskRepository.get_with_input`."""
        document = await self._read_whole(task_id)
        data = document.get("input")
        return TaskWithInput(task=task_of(document), input=None if data is None else decode_input(data))

    async def created_with(self, key: str) -> Task:
        """As `TaskRepository.created_with`; reads what a majority has journaled."""
        with self._errors():
            document = await self._durable_tasks.find_one({"idempotency.key": key}, WITHOUT_INPUT)
        if document is None:
            raise TaskNotFound(key)
        return task_of(document)

    async def free_key(self, key: str, *, before: datetime) -> None:
        """As `TaskRepository.free_key`."""
        expired = {"idempotency.key": key, "idempotency.until": {"$lte": before}}
        with self._errors():
            await self._tasks.update_one(expired, {"$unset": {"idempotency": ""}})

    async def get_input(self, task_id: str) -> TaskInput:
        """As `TaskRepository.get_input`."""
        document = await self._find(task_id, {"input": 1, "input_file": 1})
        if "input" in document:
            return decode_input(document["input"])
        try:
            with self._errors():
                stream = await self._inputs.open_download_stream(document["input_file"])
                return decode_input(await stream.read())
        except (NoFile, CorruptGridFile):
            # deleted while it was read? then the task does not exist any more, either
            await self._find(task_id, {"_id": 1})
            raise

    async def save(self, task: Task) -> None:
        """As `TaskRepository.save`; a deleted task is stale, too."""
        update = VersionedUpdate(task_id=task.id, version=task.version - 1, update=update_of(task))
        if update.size_bytes < ALONE_BYTES:
            await self._update(update)
        else:
            await self._replace(task, update.update)

    async def reopen(self, task: Task) -> None:
        """As `TaskRepository.reopen`; a deleted task is stale, too."""
        await self._replace(task, without_cancellation_request(update_of(task)))

    async def request_cancel(self, task_id: str, *, at: datetime) -> Task:
        """As `TaskRepository.request_cancel`."""
        open_task = {"_id": task_id, "state": {"$in": sorted(OPEN)}, "cancel_requested": {"$exists": False}}
        with self._errors():
            await self._tasks.update_one(open_task, {"$set": {"cancel_requested": at}})
        return await self.get(task_id)

    async def count_in(self, quota: str, states: Collection[State], *, limit: int) -> int:
        """As `TaskRepository.count_in`."""
        conditions = {**IN_QUOTAS, "quotas": quota, "state": {"$in": sorted(states)}}
        with self._errors():
            return int(await self._tasks.count_documents(conditions, limit=limit, hint="tasks_in_quotas"))

    async def in_quotas(self, *, after: str = "", limit: int = 1000) -> Sequence[QuotaTask]:
        """As `TaskRepository.in_quotas`."""
        conditions = {**IN_QUOTAS, "_id": {"$gt": after}}
        with self._errors():
            cursor = self._tasks.find(conditions, {"state": 1, "quotas": 1, "deadline": 1}).sort("_id", ASCENDING)
            documents = await cursor.hint("tasks_in_quotas").limit(limit).to_list(None)
        return [msgspec.convert({**document, "id": document["_id"]}, QuotaTask) for document in documents]

    async def submitted(self, *, after: str = "", limit: int = 1000) -> Sequence[Task]:
        """As `TaskRepository.submitted`."""
        conditions = {"_id": {"$gt": after}, "state": {"$in": [State.SUBMITTING.value, State.WAITING.value]}}
        with self._errors():
            cursor = self._tasks.find(conditions, WITHOUT_INPUT).sort("_id", ASCENDING).hint("tasks_by_state")
            return [task_of(document) async for document in cursor.limit(limit)]

    async def delete(self, task: Task) -> None:
        """As `TaskRepository.delete`; a deleted task is stale, too."""
        with self._errors():
            document = await self._tasks.find_one_and_delete(
                {"_id": task.id, "version": task.version}, projection={"input_file": 1}
            )
            if document is None:
                raise Stale(f"task {task.id} is no longer at version {task.version}")
            if "input_file" in document:
                await self._delete_input(document["input_file"])

    async def renew(self, *, owners: Collection[str], until: datetime) -> None:
        """As `TaskRepository.renew`."""
        held = {"lease.owner": {"$in": list(owners)}}
        with self._errors():
            await self._tasks.update_many(held, {"$set": {"lease.until": until, "wake_at": until}})

    async def page(self, query: TaskQuery) -> TaskPage:
        """As `TaskRepository.page`."""
        conditions = filter_of(query)
        with self._errors():
            documents, found = await asyncio.gather(self._page(conditions, query), self._count(conditions, query))
        return page_of(map(summary_of, documents), found=found, query=query)

    async def overdue(self, *, before: datetime, after: str = "", limit: int = 100) -> Sequence[OverdueTask]:
        """As `TaskRepository.overdue`."""
        conditions = {"_id": {"$gt": after}, "wake_at": {"$lt": before}}
        with self._errors():
            cursor = self._tasks.find(conditions, {"wake_at": 1, "priority": 1, "deadline": 1}).sort("_id", ASCENDING)
            documents = await cursor.hint("open_tasks").limit(limit).batch_size(limit).to_list(None)
        return list(map(_overdue, documents))

    async def ping(self) -> None:
        """As `TaskRepository.ping`."""
        with self._errors():
            await self._database.command("ping")

    async def aclose(self) -> None:
        """Close the client of the database."""
        self._database.client.close()

    async def _replace(self, task: Task, update: Document) -> None:
        with self._errors():
            done = await self._tasks.update_one({"_id": task.id, "version": task.version - 1}, update)
        if not done.matched_count:
            raise Stale(f"task {task.id} is no longer at version {task.version - 1}")

    async def _documents(self, projection: Document, task_ids: Sequence[str]) -> Sequence[Document | Exception]:
        with self._errors():
            return await read_each(self._tasks, task_ids, projection)

    async def _updates(self, updates: Sequence[VersionedUpdate]) -> Sequence[Exception | None]:
        with self._errors():
            return await update_each(self._tasks, updates)

    async def _find(self, task_id: str, projection: Document) -> Document:
        with self._errors():
            document = await self._tasks.find_one({"_id": task_id}, projection)
        if document is None:
            raise TaskNotFound(task_id)
        return document

    async def _page(self, conditions: Document, query: TaskQuery) -> list[Document]:
        older = {} if query.after is None else {"_id": {"$lt": query.after}}
        cursor = self._tasks.find({**conditions, **older}, SUMMARY).sort("_id", DESCENDING).hint(index_for(query))
        return await cursor.skip(query.offset).limit(query.limit).to_list(None)

    async def _count(self, conditions: Document, query: TaskQuery) -> int:
        """The number of tasks that match, at most one more than `count_limit`."""
        limit = query.count_limit + 1
        return int(await self._tasks.count_documents(conditions, limit=limit, hint=index_for(query)))

    async def _delete_input(self, file_id: ObjectId) -> None:
        try:
            await self._inputs.delete(file_id)
        except NoFile:
            return

    def _errors(self) -> Any:
        return store_errors(server_of(self._database))


def _overdue(document: Document) -> OverdueTask:
    priority = Priority(document.get("priority", Priority.DEFAULT))
    return OverdueTask(
        id=document["_id"], wake_at=document["wake_at"], priority=priority, deadline=document["deadline"]
    )
