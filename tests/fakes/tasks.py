"""In-memory adapter of `TaskRepository`."""

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from msgspec import structs

from core.audit import AuditRow
from core.errors import (
    REPLAYED,
    DuplicateTask,
    IdempotencyKeyTaken,
    ReplayedRequest,
    Stale,
    StoreUnavailable,
    TaskNotFound,
)
from core.priorities import Priority
from core.task_repository import OverdueTask, QuotaTask, TaskPage, TaskQuery, TaskWithInput, page_of
from core.task_states import State
from core.tasks import Result, Task, TaskInput, TaskSummary
from repositories.mongodb.task_documents import (
    INLINE_LIMIT_BYTES,
    Document,
    decode_input,
    document_of,
    encode_input,
    task_of,
)
from tests.fakes.audit import MemoryAuditLog

_T = TypeVar("_T")


class MemoryTaskRepository:
    """
    Adapter of `TaskRepository` for tests: tasks in a dictionary, as documents, so that no mutable value is shared.

    Attributes:
        reachable: While it is False, every call raises `StoreUnavailable`.
        audit: Takes the audit rows of added tasks.
    """

    def __init__(self, audit: MemoryAuditLog | None = None) -> None:
        self.reachable = True
        self.audit = audit or MemoryAuditLog()
        self._documents: dict[str, Document] = {}
        self._inputs: dict[str, bytes] = {}

    async def prepare(self) -> None:
        """As `MongoTaskRepository.prepare`; there is nothing to do."""
        self._check()

    async def add(self, task: Task, task_input: TaskInput, *, row: AuditRow | None = None) -> None:
        """As `TaskRepository.add`."""
        self._check()
        if task.id in self._documents:
            raise DuplicateTask(f"task {task.id} is stored already")
        if task.replay is not None and any(task.replay == other.get("replay") for other in self._documents.values()):
            raise ReplayedRequest(REPLAYED)
        if task.idempotency is not None and self._with_key(task.idempotency.key) is not None:
            raise IdempotencyKeyTaken("a task with the same Idempotency-Key is stored already")
        if row is not None:
            await self.audit.begin(row)
        self._documents[task.id] = document_of(task)
        self._inputs[task.id] = encode_input(task_input)

    async def get(self, task_id: str) -> Task:
        """As `TaskRepository.get`."""
        self._check()
        return task_of(_found(self._documents, task_id))

    async def created_with(self, key: str) -> Task:
        """As `TaskRepository.created_with`."""
        self._check()
        document = self._with_key(key)
        if document is None:
            raise TaskNotFound(key)
        return task_of(document)

    async def free_key(self, key: str, *, before: datetime) -> None:
        """As `TaskRepository.free_key`."""
        self._check()
        document = self._with_key(key)
        if document is not None and document["idempotency"]["until"] <= before:
            del document["idempotency"]

    async def get_with_input(self, task_id: str) -> TaskWithInput:
        """As `TaskRepository.get_with_input`; an input is large from the size on that `MongoTaskRepository` uses."""
        task, data = await self.get(task_id), self._inputs[task_id]
        return TaskWithInput(task=task, input=decode_input(data) if len(data) < INLINE_LIMIT_BYTES else None)

    async def get_input(self, task_id: str) -> TaskInput:
        """As `TaskRepository.get_input`."""
        self._check()
        return decode_input(_found(self._inputs, task_id))

    async def save(self, task: Task) -> None:
        """As `TaskRepository.save`."""
        self._check()
        self._check_version(task, task.version - 1)
        stored = task_of(self._documents[task.id])
        kept = {"cancel_requested": stored.cancel_requested, **_written_once(stored)}
        self._documents[task.id] = document_of(structs.replace(task, **kept))

    async def reopen(self, task: Task) -> None:
        """As `TaskRepository.reopen`."""
        self._check()
        self._check_version(task, task.version - 1)
        kept = _written_once(task_of(self._documents[task.id]))
        self._documents[task.id] = document_of(structs.replace(task, cancel_requested=None, **kept))

    async def request_cancel(self, task_id: str, *, at: datetime) -> Task:
        """As `TaskRepository.request_cancel`."""
        self._check()
        document = _found(self._documents, task_id)
        if not State(document["state"]).final:
            document.setdefault("cancel_requested", at)
        return await self.get(task_id)

    async def count_in(self, quota: str, states: Collection[State], *, limit: int) -> int:
        """As `TaskRepository.count_in`."""
        self._check()
        return min(sum(quota in t.quotas and t.state in states for t in self._newest_first() if t.wake_at), limit)

    async def in_quotas(self, *, after: str = "", limit: int = 1000) -> Sequence[QuotaTask]:
        """As `TaskRepository.in_quotas`."""
        self._check()
        found = [t for t in self._newest_first() if t.quotas and t.wake_at and t.id > after]
        return [
            QuotaTask(id=t.id, state=t.state, quotas=t.quotas, deadline=t.deadline)
            for t in sorted(found, key=lambda task: task.id)[:limit]
        ]

    async def submitted(self, *, after: str = "", limit: int = 1000) -> Sequence[Task]:
        """As `TaskRepository.submitted`."""
        self._check()
        holding = [t for t in self._newest_first() if t.state in {State.SUBMITTING, State.WAITING} and t.id > after]
        return sorted(holding, key=lambda task: task.id)[:limit]

    async def delete(self, task: Task) -> None:
        """As `TaskRepository.delete`."""
        self._check()
        self._check_version(task, task.version)
        del self._documents[task.id]
        del self._inputs[task.id]

    async def renew(self, *, owners: Collection[str], until: datetime) -> None:
        """As `TaskRepository.renew`."""
        self._check()
        for document in self._documents.values():
            owner = document.get("lease", {}).get("owner")
            if owner in owners:
                document |= {"lease": {"owner": owner, "until": until}, "wake_at": until}

    async def page(self, query: TaskQuery) -> TaskPage:
        """As `TaskRepository.page`."""
        self._check()
        wanted = [task for task in self._newest_first() if _matches(task, query)]
        older = (task for task in wanted if query.after is None or task.id < query.after)
        shown = islice(older, query.offset, query.offset + query.limit)
        return page_of(map(_summary_of, shown), found=len(wanted), query=query)

    async def overdue(self, *, before: datetime, after: str = "", limit: int = 100) -> Sequence[OverdueTask]:
        """As `TaskRepository.overdue`."""
        self._check()
        late = (
            _overdue(document)
            for task_id, document in sorted(self._documents.items())
            if task_id > after and "wake_at" in document and document["wake_at"] < before
        )
        return list(islice(late, limit))

    async def ping(self) -> None:
        """As `TaskRepository.ping`."""
        self._check()

    async def aclose(self) -> None:
        """There is nothing to close."""

    def _with_key(self, key: str) -> Document | None:
        found = (each for each in self._documents.values() if each.get("idempotency", {}).get("key") == key)
        return next(found, None)

    def _newest_first(self) -> list[Task]:
        return [task_of(document) for _, document in sorted(self._documents.items(), reverse=True)]

    def _check(self) -> None:
        if not self.reachable:
            raise StoreUnavailable("the in-memory tasks were made unreachable by the test")

    def _check_version(self, task: Task, version: int) -> None:
        stored = self._documents.get(task.id)
        if stored is None or stored["version"] != version:
            raise Stale(f"task {task.id} is no longer at version {version}")


def _found(stored: dict[str, _T], task_id: str) -> _T:
    try:
        return stored[task_id]
    except KeyError as error:
        raise TaskNotFound(task_id) from error


def _written_once(task: Task) -> dict[str, Any]:
    """The fields that no save changes."""
    return {"idempotency": task.idempotency, "replay": task.replay}


def _matches(task: Task, query: TaskQuery) -> bool:
    return (
        query.user_id in {None, task.user_id}
        and query.owner in {None, task.owner}
        and query.type in {None, task.type}
        and query.status in {None, task.status}
        and query.provider in {None, task.provider}
    )


def _overdue(document: Document) -> OverdueTask:
    priority = Priority(document.get("priority", Priority.DEFAULT))
    return OverdueTask(
        id=document["_id"], wake_at=document["wake_at"], priority=priority, deadline=document["deadline"]
    )


def _summary_of(task: Task) -> TaskSummary:
    fields = {field.name: getattr(task, field.name) for field in structs.fields(TaskSummary)}
    return TaskSummary(**{**fields, "results": tuple(map(_without_text, task.results))})


def _without_text(result: Result) -> Result:
    return structs.replace(result, text=None)
