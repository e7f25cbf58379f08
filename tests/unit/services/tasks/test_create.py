"""Taking tasks, beside HTTP."""

import pytest

from core.audit import AuditRow
from core.errors import DuplicateTask, InvalidRequest, ProviderUnavailable, QueueUnavailable, StoreUnavailable
from core.tasks import Task, TaskInput
from polyrelay import TaskType
from services.limits.task_quotas import QuotaLimits, TaskQuotas
from services.tasks.create import CreateTask
from tests.fakes.quotas import MemoryQuotas
from tests.fakes.tasks import MemoryTaskRepository
from tests.fakes.wakes import MemoryWakeQueue
from tests.unit.api.api_fixture import GOOD, NOW, api_registry


def accept(tasks: MemoryTaskRepository, queue: MemoryWakeQueue) -> CreateTask:
    """The use case on those twins."""
    return CreateTask(tasks, queue, api_registry(), lambda: NOW, TaskQuotas(MemoryQuotas(), tasks, QuotaLimits()))


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
    """A wake for a task that is not on record would be lost."""
    queue = MemoryWakeQueue(clock=lambda: NOW)
    tasks = Watched(queue)

    task = await accept(tasks, queue)(TaskType.IMAGE, GOOD)

    assert tasks.woken_before == [False]
    assert [wake.task_id for wake in queue.history] == [task.id]


async def test_an_unreachable_queue_does_not_refuse_the_task() -> None:
    """The record is what counts; the reconciler sends the wake later."""
    tasks, queue = MemoryTaskRepository(), MemoryWakeQueue()
    queue.reachable = False
    with pytest.raises(QueueUnavailable):
        await queue.ping()

    task = await accept(tasks, queue)(TaskType.IMAGE, GOOD)

    assert (await tasks.get(task.id)).wake_at == NOW


async def test_an_unreachable_store_wakes_nobody() -> None:
    """Nothing is queued for a task that may not exist."""
    tasks, queue = MemoryTaskRepository(), MemoryWakeQueue()
    tasks.reachable = False

    with pytest.raises(StoreUnavailable):
        await accept(tasks, queue)(TaskType.IMAGE, GOOD)

    assert queue.history == []


async def test_a_prompt_is_the_models_business() -> None:
    """A model that can do without a prompt takes tasks without one."""
    tasks = MemoryTaskRepository()
    body = {"provider": "lab", "model": "writer", "user_id": "ada", "messages": [{"role": "user", "content": "hi"}]}

    task = await accept(tasks, MemoryWakeQueue())(TaskType.TEXT, body)

    assert task.prompt is None
    assert await tasks.get_input(task.id) == {"messages": [{"role": "user", "content": "hi"}]}


async def test_wrong_fields_are_reported_before_missing_credentials() -> None:
    """A caller learns first what it can mend itself."""
    body = {**GOOD, "provider": "shed", "model": "sculptor"}
    take = accept(MemoryTaskRepository(), MemoryWakeQueue())

    with pytest.raises(ProviderUnavailable):
        await take(TaskType.IMAGE, body)
    with pytest.raises(InvalidRequest) as caught:
        await take(TaskType.IMAGE, {**body, "user_id": ""})
    assert [problem.field for problem in caught.value.details] == ["user_id"]


async def test_two_tasks_have_two_ids() -> None:
    """The same body twice is two tasks."""
    tasks = MemoryTaskRepository()
    take = accept(tasks, MemoryWakeQueue())

    first, second = await take(TaskType.IMAGE, GOOD), await take(TaskType.IMAGE, GOOD)

    assert first.id != second.id
    with pytest.raises(DuplicateTask):
        await tasks.add(first, {})
