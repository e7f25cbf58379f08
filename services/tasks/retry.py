"""Use case: retry a failed task, at its caller's request. Nothing else submits after an unknown outcome."""

from datetime import datetime

import structlog
from msgspec import structs

from core.callers import ANYBODY, Caller, KeyLimits
from core.clock import Clock
from core.errors import InvalidRequest, NotPossible, QueueUnavailable
from core.optimistic import until_first
from core.registry import Registry, Route
from core.task_repository import TaskRepository
from core.task_states import State
from core.tasks import Task
from core.wakes import WakeQueue
from services.limits.task_quotas import TaskQuotas
from services.tasks.create_fields import refuse_closed

log = structlog.get_logger(__name__)


class RetryTask:
    """
    Retries failed tasks.

    Args:
        tasks: The stored tasks.
        queue: Wakes a worker.
        registry: The models that are served.
        clock: Time.
        task_quotas: Limit the number of tasks.
    """

    def __init__(
        self, tasks: TaskRepository, queue: WakeQueue, registry: Registry, clock: Clock, task_quotas: TaskQuotas
    ) -> None:
        self._tasks = tasks
        self._queue = queue
        self._registry = registry
        self._clock = clock
        self._task_quotas = task_quotas

    async def __call__(self, task_id: str, caller: Caller = ANYBODY) -> Task:
        """
        Move a failed task back to pending, with its full time limit, and return it as it is then.

        Its attempts stay stored and no longer count; the first choice is tried first again.

        Raises:
            TaskNotFound: No task has that id.
            NotPossible: It did not fail, or its models are not served any more.
            ProviderUnavailable: None of its choices can take tasks here.
            QueueFull, TooManyTasks: It counts as a new task does, and a quota is full.
            QueueUnavailable: Redis is unavailable, and `ACCEPT_WITHOUT_QUEUE` is off.
            Stale: Concurrent writes to it kept winning; try again.
            StoreUnavailable: It is not known whether it is pending again; read it.
        """
        task = await until_first(lambda: self._reopen(task_id, caller))
        try:
            await self._queue.wake(task.id, at=task.updated, priority=task.priority)
        except QueueUnavailable as error:
            log.warning("wake_failed", task_id=task.id, reason=str(error))
        return task

    async def _reopen(self, task_id: str, caller: Caller) -> Task:
        task = await self._tasks.get(task_id)
        if task.state is not State.FAILED:
            raise NotPossible(f"task {task.id} is {task.status}; only a failed task can be retried")
        self._refuse_unserved(task)
        limits = caller.limits if caller.owner == task.owner else KeyLimits()
        needed = self._task_quotas.needed(task.provider, task.owner, limits)
        again = structs.replace(reopened(task, now=self._clock()), quotas=tuple(quota.name for quota in needed))
        async with self._task_quotas.taken(again, needed):
            await self._tasks.reopen(again)
        return again

    def _refuse_unserved(self, task: Task) -> None:
        routes: list[Route] = []
        for choice in task.choices:
            try:
                routes.append(self._registry.route_of(task, choice))
            except InvalidRequest:
                continue
        if not routes:
            raise NotPossible(f"task {task.id} cannot be retried: its models are no longer served here")
        refuse_closed(routes)


def reopened(task: Task, *, now: datetime) -> Task:
    """A failed task as it is retried: first choice, full time limit, and nothing of the old outcome."""
    return task.to(
        State.PENDING,
        now=now,
        choice=0,
        attempts_before=len(task.attempts),
        retried=now,
        cancel_requested=None,
        deadline=now + (task.deadline - (task.retried or task.created)),
        wake_at=now,
        lease=None,
        results=(),
        usage=None,
        progress=None,
        failure=None,
    )
