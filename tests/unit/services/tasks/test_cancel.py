"""Cancelling a task in each state, twice, and while others write to it."""

import asyncio

import pytest

from core.errors import NotPossible, Stale, StoreUnavailable, TaskNotFound
from core.gates import Gate
from core.optimistic import MOST_TRIES
from core.priorities import Priority
from core.task_states import State
from core.tasks import Task
from core.wakes import Wake
from services.tasks.billing import may_be_billed
from services.tasks.cancel import CancelOutcome
from tests.fakes.tasks import MemoryTaskRepository
from tests.unit.services.use_case_fixture import START, UNKNOWN, UseCaseFixture, attempt_of

GATE = Gate(name="provider:one", limit=1)


class Overtaken(MemoryTaskRepository):
    """
    A worker writes after each read of the use case.

    Attributes:
        moves: The states that it moves the task to, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[State] = []

    async def get(self, task_id: str) -> Task:
        """Read, and let the worker write."""
        task = await super().get(task_id)
        if self.moves:
            await super().save(task.to(self.moves.pop(0), now=START))
        return task


async def test_a_pending_task_ends_at_once_and_no_vendor_is_called() -> None:
    """It is stored as cancelled, without a cancellation request and without a wake; nothing is billed."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored()

    answer = await use_case_fixture.cancel(task.id)

    stored = await use_case_fixture.tasks.get(task.id)
    assert answer.outcome is CancelOutcome.CANCELLED
    assert stored == answer.task
    assert (stored.state, stored.wake_at, stored.cancel_requested) == (State.CANCELLED, None, None)
    assert stored.failure is not None
    assert stored.failure.code == "cancelled"
    assert "before it was submitted" in stored.failure.message
    assert not may_be_billed(stored)
    assert use_case_fixture.queue.history == []
    assert use_case_fixture.first.stops == []


@pytest.mark.parametrize("state", [State.SUBMITTING, State.WAITING])
async def test_a_task_at_the_vendor_is_left_to_a_worker(state: State) -> None:
    """The cancellation request is stored, the task's version is unchanged, and a worker is woken now in its queue."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored(state=state, priority=Priority.CRITICAL)
    use_case_fixture.pass_time(3)

    answer = await use_case_fixture.cancel(task.id)

    assert answer.outcome is CancelOutcome.REQUESTED
    assert answer.task == await use_case_fixture.tasks.get(task.id)
    assert (answer.task.state, answer.task.version) == (state, task.version)
    assert answer.task.cancel_requested == use_case_fixture.now
    assert may_be_billed(answer.task)
    assert use_case_fixture.queue.history == [
        Wake(task_id=task.id, at=use_case_fixture.now, priority=Priority.CRITICAL)
    ]


async def test_cancelling_a_task_at_the_vendor_twice_is_the_same_as_once() -> None:
    """The same outcome, the time of the first request, and no second wake beside the queued one."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored(state=State.WAITING)
    first = await use_case_fixture.cancel(task.id)
    use_case_fixture.pass_time(3)

    assert await use_case_fixture.cancel(task.id) == first
    assert len(use_case_fixture.queue.wakes) == 1


async def test_cancelling_a_cancelled_task_is_the_same_as_once() -> None:
    """Whether the API or a worker cancelled it."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored()
    first = await use_case_fixture.cancel(task.id)
    by_worker = await use_case_fixture.stored(state=State.CANCELLED)

    assert await use_case_fixture.cancel(task.id) == first
    assert (await use_case_fixture.cancel(by_worker.id)).outcome is CancelOutcome.CANCELLED


@pytest.mark.parametrize(
    ("state", "words"),
    [(State.STORING, "being stored"), (State.COMPLETED, "completed already"), (State.FAILED, "failed already")],
)
async def test_it_can_be_too_late(state: State, words: str) -> None:
    """The text says why, and the task is not touched."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored(state=state)

    with pytest.raises(NotPossible, match=words):
        await use_case_fixture.cancel(task.id)

    assert await use_case_fixture.tasks.get(task.id) == task
    assert use_case_fixture.queue.history == []


async def test_an_unknown_task_is_not_found() -> None:
    """There is nothing to cancel."""
    with pytest.raises(TaskNotFound):
        await UseCaseFixture().cancel("task_none")


async def test_a_task_that_was_tried_before_may_be_billed() -> None:
    """Cancelled between two attempts, it says that the vendor took the first one."""
    use_case_fixture = UseCaseFixture()
    generated = attempt_of(State.WAITING, START, ended=START, failure=UNKNOWN)
    task = await use_case_fixture.stored(attempts=(generated,))

    answer = await use_case_fixture.cancel(task.id)

    assert may_be_billed(answer.task)
    assert answer.task.failure is not None
    assert "between two attempts" in answer.task.failure.message


async def test_the_place_in_the_wait_queue_is_released() -> None:
    """The task that was queued behind it is woken, in the queue of its own priority."""
    use_case_fixture = UseCaseFixture()
    holder, first, second = [await use_case_fixture.stored(priority=Priority.LOW) for _ in range(3)]
    for task in (holder, first, second):
        await use_case_fixture.gates.enter(use_case_fixture.ticket(task, GATE))
    await use_case_fixture.gates.leave(use_case_fixture.ticket(holder, GATE))

    await use_case_fixture.cancel(first.id)

    assert list(await use_case_fixture.gates.in_wait_queue([first.id, second.id])) == [False, True]
    assert [(wake.task_id, wake.priority) for wake in use_case_fixture.queue.history] == [(second.id, Priority.LOW)]


async def test_without_redis_a_task_is_cancelled_all_the_same() -> None:
    """The record is what counts; the place and the wake are made up for later."""
    use_case_fixture = UseCaseFixture()
    pending, waiting = await use_case_fixture.stored(), await use_case_fixture.stored(state=State.WAITING)
    use_case_fixture.gates.reachable = use_case_fixture.queue.reachable = False

    assert (await use_case_fixture.cancel(pending.id)).outcome is CancelOutcome.CANCELLED
    assert (await use_case_fixture.cancel(waiting.id)).outcome is CancelOutcome.REQUESTED


async def test_without_a_store_nothing_is_promised() -> None:
    """The caller hears that it is not known."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored()
    use_case_fixture.tasks.reachable = False

    with pytest.raises(StoreUnavailable):
        await use_case_fixture.cancel(task.id)


@pytest.mark.parametrize(
    ("moves", "outcome", "state"),
    [
        ([State.SUBMITTING], CancelOutcome.REQUESTED, State.SUBMITTING),
        ([State.SUBMITTING, State.PENDING], CancelOutcome.CANCELLED, State.CANCELLED),
        ([State.SUBMITTING, State.COMPLETED], None, State.COMPLETED),
        ([State.SUBMITTING, State.STORING], None, State.STORING),
        ([State.FAILED], None, State.FAILED),
    ],
)
async def test_a_worker_that_writes_first_is_read_again(
    moves: list[State], outcome: CancelOutcome | None, state: State
) -> None:
    """The answer is about the task as it stands when the answer is given, whatever was read before."""
    tasks = Overtaken()
    use_case_fixture = UseCaseFixture(tasks=tasks)
    task = await use_case_fixture.stored()
    tasks.moves = list(moves)

    if outcome is None:
        with pytest.raises(NotPossible):
            await use_case_fixture.cancel(task.id)
    else:
        assert (await use_case_fixture.cancel(task.id)).outcome is outcome

    assert (await use_case_fixture.tasks.get(task.id)).state is state


async def test_a_race_that_is_always_lost_ends() -> None:
    """After many tries the caller gets `conflict`."""
    tasks = Overtaken()
    use_case_fixture = UseCaseFixture(tasks=tasks)
    task = await use_case_fixture.stored()
    tasks.moves = [State.PENDING] * MOST_TRIES

    with pytest.raises(Stale):
        await use_case_fixture.cancel(task.id)


async def test_many_cancels_at_once_are_one() -> None:
    """All have the same answer, and the record has one version more."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored()

    answers = await asyncio.gather(*(use_case_fixture.cancel(task.id) for _ in range(10)))

    assert {answer.outcome for answer in answers} == {CancelOutcome.CANCELLED}
    assert (await use_case_fixture.tasks.get(task.id)).version == task.version + 1
