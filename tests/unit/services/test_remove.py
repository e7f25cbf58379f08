"""Removing tasks while workers write to them."""

import pytest
from msgspec import structs

from core.errors import Stale, TaskNotFound
from core.tasks import OPEN, State, Task
from repositories.memory import MemoryResultStore, MemoryTaskRepository, MemoryWakeQueue
from repositories.memory_gates import MemoryGates
from services.races import MOST_TRIES
from services.remove import Remove
from tests.unit.api.lab import NOW, a_task, lab_registry


class Contended(MemoryTaskRepository):
    """Another writer comes first so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.saved: list[State] = []

    async def save(self, task: Task) -> None:
        """Let the other one write first."""
        if self.times:
            self.times -= 1
            stored = await self.get(task.id)
            await super().save(structs.replace(stored, version=stored.version + 1))
        await super().save(task)
        self.saved.append(task.state)


def remover(tasks: MemoryTaskRepository) -> Remove:
    """The use case on those tasks."""
    return Remove(
        tasks=tasks,
        results=MemoryResultStore(),
        registry=lab_registry(),
        queue=MemoryWakeQueue(),
        gates=MemoryGates(),
        clock=lambda: NOW,
    )


@pytest.mark.parametrize("state", sorted(OPEN))
async def test_an_open_task_is_ended_before_it_goes(state: State) -> None:
    """A final state is stored first, so that a worker that holds the task cannot save it any more."""
    tasks = Contended(0)
    task = a_task(state=state)
    await tasks.add(task, {})

    found = await remover(tasks)(task.id)

    assert found.task.state is state
    assert tasks.saved == [State.FAILED if state is State.STORING else State.CANCELLED]
    with pytest.raises(TaskNotFound):
        await tasks.get(task.id)


async def test_a_lost_race_is_run_again() -> None:
    """Where a worker writes first, the task is read and ended again."""
    tasks = Contended(3)
    task = a_task()
    await tasks.add(task, {})

    await remover(tasks)(task.id)

    assert tasks.saved == [State.CANCELLED]


async def test_a_race_that_is_always_lost_ends() -> None:
    """After many tries the caller is told to try again."""
    tasks = Contended(MOST_TRIES + 1)
    task = a_task()
    await tasks.add(task, {})

    with pytest.raises(Stale):
        await remover(tasks)(task.id)


async def test_a_task_that_somebody_removed_meanwhile_is_not_found() -> None:
    """Two removals at once: the second finds nothing."""
    with pytest.raises(TaskNotFound):
        await remover(MemoryTaskRepository())(a_task().id)
