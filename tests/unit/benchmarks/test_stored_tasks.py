"""The tasks that the reads are measured with."""

from collections import Counter
from itertools import islice

from benchmarks.stored_tasks import BUSY_USER, made
from core.task_states import State
from polyrelay import TaskType
from repositories.mongodb.task_documents import document_of, task_of


def test_the_same_tasks_are_made_each_time() -> None:
    """So that two runs read the same."""
    assert list(made(50)) == list(made(50))


def test_made_tasks_are_whole_and_sort_by_time() -> None:
    """They are what the server's own documents hold, with ids as the server gives them."""
    tasks = list(islice(made(300), 300))

    assert [task_of(document_of(task)) for task in tasks] == tasks
    assert [task.id for task in tasks] == sorted({task.id for task in tasks})
    assert all(len(task.id) == len("task_") + 32 for task in tasks)


def test_made_tasks_are_of_every_kind() -> None:
    """Every filter of a list finds some; most are completed, and one user is busy."""
    tasks = list(made(5000))

    states = Counter(task.state for task in tasks)
    assert set(states) == {State.COMPLETED, State.FAILED, State.CANCELLED, State.WAITING, State.PENDING}
    assert states[State.COMPLETED] > 4000
    assert {task.type for task in tasks} == set(TaskType)
    assert {task.provider for task in tasks} == {"volcengine", "openai"}
    assert 800 < sum(task.user_id == BUSY_USER for task in tasks) < 1200
