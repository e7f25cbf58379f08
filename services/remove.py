"""Use case: remove a task with its files. An open one is ended first, so that no worker takes it up again."""

from typing import Final

from core.errors import Stale
from core.ports import Clock, ResultStore, TaskRepository
from core.tasks import Failure, State, Task

MOST_TRIES: Final = 20


class Remove:
    """
    Removes tasks.

    Args:
        tasks: Where they are stored.
        results: Where their files are.
        clock: Time.
    """

    def __init__(self, tasks: TaskRepository, results: ResultStore, clock: Clock) -> None:
        self._tasks = tasks
        self._results = results
        self._clock = clock

    async def __call__(self, task_id: str) -> Task:
        """
        End the task if it is open, then remove its files and its record. Answers its last state before that.

        Files go first: where they cannot be removed, the record stays and the call can be repeated.

        Raises:
            TaskNotFound: There is none of that id (any more).
            Stale: Others kept writing to it; try again.
            StoreUnavailable: The database or the result store cannot be reached.
        """
        for _ in range(MOST_TRIES - 1):
            try:
                return await self._remove(task_id)
            except Stale:
                continue
        return await self._remove(task_id)

    async def _remove(self, task_id: str) -> Task:
        found = await self._tasks.get(task_id)
        ended = await self._end(found)
        await self._results.delete_all(task_id)
        await self._tasks.delete(ended)
        return found

    async def _end(self, task: Task) -> Task:
        if task.state.final:
            return task
        ended = self._ended(task)
        await self._tasks.save(ended)
        return ended

    def _ended(self, task: Task) -> Task:
        if task.state is State.STORING:  # its generation is over, so there is nothing left to cancel
            lost = Failure(code="result_lost", message="the task was removed while its result was being stored")
            return task.to(State.FAILED, now=self._clock(), failure=lost)
        return task.to(State.CANCELLED, now=self._clock())
