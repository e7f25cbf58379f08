"""The in-memory adapters keep the contracts of the ports."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from core.clock import utc_now
from core.errors import QueueUnavailable, StoreUnavailable
from core.priorities import Priority
from tests.contracts.result_store import ResultStoreContract
from tests.contracts.task_repository import TaskRepositoryContract
from tests.contracts.tasks import NOW, a_task
from tests.contracts.wake_queue import WakeQueueContract
from tests.fakes.result_store import MemoryResultStore
from tests.fakes.tasks import MemoryTaskRepository
from tests.fakes.wakes import MemoryWakeQueue


class TestMemoryTaskRepository(TaskRepositoryContract):
    """`MemoryTaskRepository` keeps the contract."""

    @pytest.fixture
    def repository(self) -> MemoryTaskRepository:
        """An empty one."""
        return MemoryTaskRepository()


class TestMemoryResultStore(ResultStoreContract):
    """`MemoryResultStore` keeps the contract."""

    @pytest.fixture
    def store(self) -> MemoryResultStore:
        """An empty one."""
        return MemoryResultStore()


class _Readable:
    def __init__(self) -> None:
        self.queue = MemoryWakeQueue()

    async def due(self, at: datetime, priority: Priority = Priority.DEFAULT) -> Sequence[str]:
        wakes = sorted(self.queue.wakes, key=lambda wake: wake.at)
        return [wake.task_id for wake in wakes if wake.at <= at and wake.priority == priority]


class TestMemoryWakeQueue(WakeQueueContract):
    """`MemoryWakeQueue` keeps the contract."""

    @pytest.fixture
    def queue(self) -> _Readable:
        """An empty one."""
        return _Readable()


async def test_due_wakes_are_handed_out_once() -> None:
    """Taking deletes them; others stay, with the time at which they are due."""
    now = utc_now()
    queue = MemoryWakeQueue(clock=lambda: now)
    await queue.wake("task_later", at=now + timedelta(seconds=9))
    await queue.wake("task_now", at=now)

    assert [wake.task_id for wake in queue.take_due(now)] == ["task_now"]
    assert queue.take_due(now) == []
    assert queue.next_at() == now + timedelta(seconds=9)
    assert [wake.task_id for wake in queue.history] == ["task_later", "task_now"]


async def test_in_memory_adapters_can_be_made_unreachable() -> None:
    """A test may make them unavailable; they raise the errors of the real adapters."""
    tasks, queue, files = MemoryTaskRepository(), MemoryWakeQueue(), MemoryResultStore()
    tasks.reachable = queue.reachable = files.reachable = False

    with pytest.raises(StoreUnavailable):
        await tasks.add(a_task(), {})
    with pytest.raises(QueueUnavailable):
        await queue.wake("task_1", at=NOW)
    with pytest.raises(StoreUnavailable):
        await files.put("a", b"")


async def test_a_stored_task_shares_nothing_with_its_callers() -> None:
    """Metadata that a caller changes afterwards is not changed in the store."""
    repository = MemoryTaskRepository()
    task = a_task(metadata={"order": 1})
    await repository.add(task, {})
    task.metadata["order"] = 2
    (await repository.get(task.id)).metadata["order"] = 3

    assert (await repository.get(task.id)).metadata == {"order": 1}
