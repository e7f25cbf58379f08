"""What the server needs from the outside world; `repositories/` has the adapters."""

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
        owner: Only tasks that a key of that owner created.
        limit: At most so many, 1 to 100.
        offset: Skip so many.
        after: Only tasks older than the one of this id.
        count_limit: Count up to so many of all that match: a count's cost grows with what it counts.
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
        total: How many match without `limit`, `offset` and `after`, counted up to `count_limit`.
        total_is_exact: False where there are more.
    """

    tasks: tuple[TaskSummary, ...]
    total: int
    total_is_exact: bool


def page_of(tasks: Iterable[TaskSummary], *, found: int, query: TaskQuery) -> TaskPage:
    """The page with those tasks, of a list in which so many were found, or more than it counts."""
    return TaskPage(tasks=tuple(tasks), total=min(found, query.count_limit), total_is_exact=found <= query.count_limit)


class OverdueTask(Struct, frozen=True, kw_only=True):
    """A task that somebody should have looked at: which, when, in which queue, and when it ends at the latest."""

    id: str
    wake_at: datetime
    priority: Priority
    deadline: datetime


class TaskWithInput(Struct, frozen=True, kw_only=True):
    """A task and its input; None where that is large and lies apart, for `get_input` to read."""

    task: Task
    input: TaskInput | None


class QuotaTask(Struct, frozen=True, kw_only=True):
    """An open task that names quotas. The fields are those of `Task`."""

    id: str
    state: State
    quotas: tuple[str, ...]
    deadline: datetime


class TaskRepository(Protocol):
    """
    The tasks on record: the truth. Every method raises `StoreUnavailable` where the database cannot be reached.
    """

    async def add(self, task: Task, task_input: TaskInput, *, row: AuditRow | None = None) -> None:
        """
        Store a new task with its input, durably, and before it the row that says who created it.

        The row is as durable as the task: there is no task on record without it.

        Raises:
            DuplicateTask: That id is stored already.
            IdempotencyKeyTaken: A task with the key of its `idempotency` is; it is as durable as this one would be.
            ReplayedRequest: A task that the same signature created is.
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
        The task of that id, and its input where that costs no second look.

        Raises:
            TaskNotFound: There is none.
        """

    async def created_with(self, key: str) -> Task:
        """
        The task whose `idempotency` has that key. It is durable: one that is just being stored is not found.

        Raises:
            TaskNotFound: There is none.
        """

    async def free_key(self, key: str, *, before: datetime) -> None:
        """Take that key away from the task that has it, if it was kept until that moment or less."""

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
            Stale: Somebody else wrote first; read again and decide again.
        """

    async def reopen(self, task: Task) -> None:
        """
        As `save`, for a task that failed and is to be done once more: the wish to cancel it is forgotten, too.

        Nobody can wish anew in between: only an open task takes a wish.

        Raises:
            Stale: Somebody else wrote first.
        """

    async def request_cancel(self, task_id: str, *, at: datetime) -> Task:
        """
        Note that the caller wants the task cancelled, without a new version, so that no step under way is lost.

        Only an open task is noted, and only the first wish; answers the task as it then stands.

        Raises:
            TaskNotFound: There is no such task.
        """

    async def count_in(self, quota: str, states: Collection[State], *, limit: int) -> int:
        """How many open tasks name that quota and are in one of those states, counted up to `limit`."""

    async def in_quotas(self, *, after: str = "", limit: int = 1000) -> Sequence[QuotaTask]:
        """Open tasks that name a quota, in order of id, above `after`."""

    async def submitted(self, *, after: str = "", limit: int = 1000) -> Sequence[Task]:
        """Tasks in `submitting` or `waiting`, in order of id, above `after`: those that hold gates."""

    async def delete(self, task: Task) -> None:
        """
        Remove a task and its input, if its stored version is `task.version`.

        Raises:
            Stale: Somebody else wrote first.
        """

    async def renew(self, *, owners: Collection[str], until: datetime) -> None:
        """Prolong every lease that these hold: one write, which changes no version. Moves `wake_at` along."""

    async def page(self, query: TaskQuery) -> TaskPage:
        """One page of a list."""

    async def overdue(self, *, before: datetime, after: str = "", limit: int = 100) -> Sequence[OverdueTask]:
        """Open tasks that somebody should have looked at before that moment, in order of id, above `after`."""

    async def ping(self) -> None:
        """Answer if the database does."""
