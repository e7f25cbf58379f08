"""The use case that creates tasks, without HTTP."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from core.audit import AuditRow
from core.errors import DuplicateTask, InvalidRequest, ProviderUnavailable, QueueUnavailable, StoreUnavailable
from core.redaction import redaction
from core.tasks import Task, TaskInput
from polyrelay import TaskType
from services.limits.task_quotas import QuotaLimits, TaskQuotas
from services.tasks.create import CreateTask
from tests.fakes.quotas import MemoryQuotas
from tests.fakes.tasks import MemoryTaskRepository
from tests.fakes.wakes import MemoryWakeQueue
from tests.unit.api.api_fixture import GOOD, NOW, api_registry

Create = Callable[[TaskType, Mapping[str, Any]], Awaitable[Task]]


def creating(tasks: MemoryTaskRepository, queue: MemoryWakeQueue) -> Create:
    """Creates a task with those in-memory adapters."""
    task_quotas = TaskQuotas(MemoryQuotas(), tasks, QuotaLimits())
    create_task = CreateTask(tasks, queue, api_registry(), lambda: NOW, task_quotas, redact=redaction())

    async def create(task_type: TaskType, body: Mapping[str, Any]) -> Task:
        return (await create_task(task_type, body)).task

    return create


class Watched(MemoryTaskRepository):
    """Notes whether a worker had been woken when a task was stored."""

    def __init__(self, queue: MemoryWakeQueue) -> None:
        super().__init__()
        self.woken_before: list[bool] = []
        self._queue = queue

    async def add(self, task: Task, task_input: TaskInput, *, row: AuditRow | None = None) -> None:
        """Store, and look at the queue."""
        self.woken_before.append(bool(self._queue.history))
        await super().add(task, task_input, row=row)


async def test_a_task_is_stored_before_a_worker_is_woken() -> None:
    """A wake for a task that is not stored yet would be lost."""
    queue = MemoryWakeQueue(clock=lambda: NOW)
    tasks = Watched(queue)

    task = await creating(tasks, queue)(TaskType.IMAGE, GOOD)

    assert tasks.woken_before == [False]
    assert [wake.task_id for wake in queue.history] == [task.id]


async def test_an_unreachable_queue_does_not_refuse_the_task() -> None:
    """The task is stored; the reconciler sends the wake later."""
    tasks, queue = MemoryTaskRepository(), MemoryWakeQueue()
    queue.reachable = False
    with pytest.raises(QueueUnavailable):
        await queue.ping()

    task = await creating(tasks, queue)(TaskType.IMAGE, GOOD)

    assert (await tasks.get(task.id)).wake_at == NOW


async def test_an_unreachable_store_wakes_nobody() -> None:
    """Nothing is queued for a task that may not exist."""
    tasks, queue = MemoryTaskRepository(), MemoryWakeQueue()
    tasks.reachable = False

    with pytest.raises(StoreUnavailable):
        await creating(tasks, queue)(TaskType.IMAGE, GOOD)

    assert queue.history == []


async def test_only_the_model_decides_whether_a_prompt_is_required() -> None:
    """A task of a model whose params require no prompt is created without one."""
    tasks = MemoryTaskRepository()
    body = {"provider": "lab", "model": "writer", "user_id": "ada", "messages": [{"role": "user", "content": "hi"}]}

    task = await creating(tasks, MemoryWakeQueue())(TaskType.TEXT, body)

    assert task.prompt is None
    assert await tasks.get_input(task.id) == {"messages": [{"role": "user", "content": "hi"}]}


async def test_wrong_fields_are_reported_before_missing_credentials() -> None:
    """The caller is told first what it can correct itself."""
    body = {**GOOD, "provider": "shed", "model": "sculptor"}
    create = creating(MemoryTaskRepository(), MemoryWakeQueue())

    with pytest.raises(ProviderUnavailable):
        await create(TaskType.IMAGE, body)
    with pytest.raises(InvalidRequest) as caught:
        await create(TaskType.IMAGE, {**body, "user_id": ""})
    assert [problem.field for problem in caught.value.details] == ["user_id"]


async def test_two_tasks_have_two_ids() -> None:
    """The same body twice is two tasks."""
    tasks = MemoryTaskRepository()
    create = creating(tasks, MemoryWakeQueue())

    first, second = await create(TaskType.IMAGE, GOOD), await create(TaskType.IMAGE, GOOD)

    assert first.id != second.id
    with pytest.raises(DuplicateTask):
        await tasks.add(first, {})
