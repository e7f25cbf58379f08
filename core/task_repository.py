"""Port of the task store: tasks with their inputs, and the lists of them that use cases and reconcilers read."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from core.audit import AuditRow
from core.priorities import Priority
from core.task_states import State, Status
from core.tasks import Task, TaskInput, TaskSummary
from polyrelay import TaskType


class TaskQuery(Struct, frozen=True, kw_only=True):
    """
    Which tasks to list, newest first. A field that is None does not filter.

    Attributes:
        owner: Only tasks that a key of this owner created.
        limit: Maximum number of tasks on the page, 1 to 100.
        offset: Number of tasks to skip.
        after: Only tasks older than the one of this id.
        count_limit: Number up to which all that match are counted: the cost of a count grows with it.
    """

    user_id: str | None = None
    type: TaskType | None = None
    status: Status | None = None
    provider: str | None = None
    owner: str | None = None
    limit: int = 20
    offset: int = 0
    after: str | None = None
    count_limit: int = 1000


class TaskPage(Struct, frozen=True, kw_only=True):
    """
    One page of a list.

    Attributes:
        tasks: Newest first.
        total: Number of tasks that match without `limit`, `offset` and `after`, counted up to `count_limit`.
        total_is_exact: False where more match than were counted.
    """

    tasks: tuple[TaskSummary, ...]
    total: int
    total_is_exact: bool


def page_of(tasks: Iterable[TaskSummary], *, found: int, query: TaskQuery) -> TaskPage:
    """The page with those tasks. `found` is the number that match; above `count_limit` it need not be exact."""
    return TaskPage(tasks=tuple(tasks), total=min(found, query.count_limit), total_is_exact=found <= query.count_limit)


class OverdueTask(Struct, frozen=True, kw_only=True):
    """An open task whose `wake_at` has passed, with the fields of `Task` that a wake needs."""

    id: str
    wake_at: datetime
    priority: Priority
    deadline: datetime


class TaskWithInput(Struct, frozen=True, kw_only=True):
    """A task and its input; None where the input is large and stored apart. `get_input` reads it then."""

    task: Task
    input: TaskInput | None


class QuotaTask(Struct, frozen=True, kw_only=True):
    """An open task that counts in quotas. The fields are those of `Task`."""

    id: str
    state: State
    quotas: tuple[str, ...]
    deadline: datetime


class TaskRepository(Protocol):
    """
    The stored tasks: the source of truth. Every method raises `StoreUnavailable` if the database is unavailable.
    """

    async def add(self, task: Task, task_input: TaskInput, *, row: AuditRow | None = None) -> None:
        """
        Store a new task with its input, durably, and before it the audit row that says who created it.

        The row is as durable as the task: no task is stored without its row.

        Raises:
            DuplicateTask: A task with that id is stored already.
            IdempotencyKeyTaken: A task with the key of its `idempotency` is stored already, and durably.
            ReplayedRequest: A task that the same signature created is stored already.
            AuditFailed: The row cannot be written; the task is not stored.
        """

    async def get(self, task_id: str) -> Task:
        """
        The task of that id.

        Raises:
            TaskNotFound: There is none.
        """

    async def get_with_input(self, task_id: str) -> TaskWithInput:
        """
        The task of that id, and its input where that needs no second read.

        Raises:
            TaskNotFound: There is none.
        """

    async def created_with(self, key: str) -> Task:
        """
        The task whose `idempotency` has that key. A task is found only once it is stored durably.

        Raises:
            TaskNotFound: There is none.
        """

    async def free_key(self, key: str, *, before: datetime) -> None:
        """Delete that idempotency key from its task, if the key expired at `before` or earlier."""

    async def get_input(self, task_id: str) -> TaskInput:
        """
        The input of a task.

        Raises:
            TaskNotFound: There is no such task.
        """

    async def save(self, task: Task) -> None:
        """
        Replace the stored task whose version is `task.version - 1`, atomically.

        Raises:
            Stale: Another writer was first; read again and decide again.
        """

    async def reopen(self, task: Task) -> None:
        """
        As `save`, for a failed task that is to run again. Its cancellation request is deleted, too.

        No new request can come in between: only an open task takes a cancellation request.

        Raises:
            Stale: Another writer was first.
        """

    async def request_cancel(self, task_id: str, *, at: datetime) -> Task:
        """
        Store a cancellation request without a new version, so that a step that is running can still save.

        Only an open task takes a request, and only the first one is stored. Returns the task as it is stored then.

        Raises:
            TaskNotFound: There is no such task.
        """

    async def count_in(self, quota: str, states: Collection[State], *, limit: int) -> int:
        """The number of open tasks that name that quota and are in one of those states, counted up to `limit`."""

    async def in_quotas(self, *, after: str = "", limit: int = 1000) -> Sequence[QuotaTask]:
        """Open tasks that name a quota, by id, with ids above `after`."""

    async def submitted(self, *, after: str = "", limit: int = 1000) -> Sequence[Task]:
        """Tasks in `submitting` or `waiting`, by id, with ids above `after`: the tasks that hold gates."""

    async def delete(self, task: Task) -> None:
        """
        Delete a task and its input, if its stored version is `task.version`.

        Raises:
            Stale: Another writer was first.
        """

    async def renew(self, *, owners: Collection[str], until: datetime) -> None:
        """Renew the leases of these owners, and set `wake_at` to `until`: one write, which changes no version."""

    async def page(self, query: TaskQuery) -> TaskPage:
        """One page of a list."""

    async def overdue(self, *, before: datetime, after: str = "", limit: int = 100) -> Sequence[OverdueTask]:
        """Open tasks whose `wake_at` is before that moment, by id, with ids above `after`."""

    async def ping(self) -> None:
        """Check that the database answers."""
