"""Room for new tasks: what counts when, who is refused, and what becomes of it where something is away."""

import asyncio

import pytest

from core.callers import Caller, KeyLimits, Role
from core.errors import ComeBackLater, QueueFull, QueueUnavailable, StoreUnavailable, TooManyTasks
from core.task_repository import TaskQuery
from core.tasks import State, Task
from polyrelay import TaskType
from services.limits.quota_reconciler import QuotaHealing
from services.limits.task_quotas import Bounds
from tests.fakes.tasks import MemoryTaskRepository
from tests.unit.services.use_case_fixture import BODY, START, Desk

SEED = Bounds(slots={"*": 1}, queue=2)
ALONE = Caller(role=Role.APP, owner="ow_1", key_id="k_1", limits=KeyLimits(max_concurrent=1, max_queue=0))
OTHER = Caller(role=Role.APP, owner="ow_2", key_id="k_2", limits=ALONE.limits)
TO_TWO = {**BODY, "provider": "two", "model": "narrow", "size": "1x1"}


async def created(desk: Desk, caller: Caller | None = None, **fields: object) -> Task:
    """A new task."""
    return await desk.accept(TaskType.IMAGE, {**BODY, **fields}, *([caller] if caller else []))


async def number_of(desk: Desk) -> int:
    """How many tasks are on record."""
    return (await desk.tasks.page(TaskQuery())).total


async def moved(desk: Desk, task: Task, *states: State) -> Task:
    """That task on its way, as a worker records it."""
    for state in states:
        task = task.to(state, now=START)
        await desk.recorder.record(task)
    return task


async def test_where_nothing_is_bounded_redis_is_not_asked() -> None:
    """No limit, no round trip."""
    desk = Desk(bounds=Bounds(slots={"*": 1}))
    task = await created(desk, Caller(role=Role.APP, owner="ow_1"))

    assert desk.quotas.asked == 0
    assert (task.owner, task.quotas) == ("ow_1", ())


async def test_slots_and_the_queue_together_bound_the_open_tasks() -> None:
    """One that is submitted holds its slot; the next is let in when one has ended, and other providers at any time."""
    desk = Desk(bounds=SEED)
    first, *_ = [await created(desk) for _ in range(3)]
    await moved(desk, first, State.SUBMITTING)

    with pytest.raises(QueueFull) as caught:
        await created(desk)
    assert caught.value.retry_after_s > 0
    assert await number_of(desk) == 3
    await desk.accept(TaskType.IMAGE, TO_TWO)

    await moved(desk, await desk.tasks.get(first.id), State.COMPLETED)
    await created(desk)


async def test_where_slots_are_not_limited_only_waiting_is_bounded() -> None:
    """A task that is under way makes room."""
    desk = Desk(bounds=Bounds(queue=1))
    task = await created(desk)
    with pytest.raises(QueueFull):
        await created(desk)

    await moved(desk, task, State.SUBMITTING)
    await created(desk)


async def test_a_key_with_one_slot_and_no_queue_has_one_task_at_a_time() -> None:
    """Its second is refused at once, with a code of its own; another key is not."""
    desk = Desk()
    task = await created(desk, ALONE)
    assert (task.owner, task.key_id, task.key_max_concurrent) == ("ow_1", "k_1", 1)

    with pytest.raises(TooManyTasks):
        await created(desk, ALONE)
    await created(desk, OTHER)

    await moved(desk, task, State.SUBMITTING, State.FAILED)
    await created(desk, ALONE)


async def test_keys_without_limits_have_those_of_every_key() -> None:
    """Each limit by itself: a key's own comes first."""
    desk = Desk(bounds=Bounds(key=KeyLimits(max_concurrent=1, max_queue=0)))
    plain = Caller(role=Role.APP, owner="ow_1")
    longer = Caller(role=Role.APP, owner="ow_2", limits=KeyLimits(max_queue=1))
    assert [(await created(desk, caller)).key_max_concurrent for caller in (plain, longer, longer)] == [1, 1, 1]

    for caller in (plain, longer):
        with pytest.raises(TooManyTasks):
            await created(desk, caller)


async def test_callers_whom_nobody_asked_have_no_key_to_bound() -> None:
    """`AUTH=none` knows no keys."""
    desk = Desk(bounds=Bounds(key=KeyLimits(max_concurrent=1, max_queue=0)))

    assert [(await created(desk)).key_max_concurrent for _ in range(3)] == [None] * 3


async def test_of_many_at_once_no_more_than_the_bound_are_stored() -> None:
    """Those that are refused leave nothing."""
    desk = Desk(bounds=SEED)
    outcomes = await asyncio.gather(*(created(desk) for _ in range(20)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes].count(QueueFull) == 17
    assert await number_of(desk) == 3


@pytest.mark.parametrize("state", [State.PENDING, State.STORING])
async def test_a_task_that_is_cancelled_or_removed_makes_room(state: State) -> None:
    """In whatever state it was."""
    desk = Desk(bounds=Bounds(slots={"*": 1}, queue=0))
    task = await created(desk)
    if state is State.PENDING:
        await desk.cancel(task.id)
        task = await created(desk)
    else:
        await moved(desk, task, State.SUBMITTING, State.STORING)
    await desk.remove(task.id)

    await created(desk)


async def test_a_task_that_waits_for_its_next_attempt_still_counts() -> None:
    """It is open."""
    desk = Desk(bounds=Bounds(slots={"*": 1}, queue=0))
    await moved(desk, await created(desk), State.SUBMITTING, State.PENDING)

    with pytest.raises(QueueFull):
        await created(desk)


async def test_a_retry_needs_room_as_a_new_task_does() -> None:
    """Without room the task stays failed; with room it counts."""
    desk = Desk()
    task = await moved(desk, await created(desk, ALONE), State.SUBMITTING, State.FAILED)
    other = await created(desk, ALONE)

    with pytest.raises(TooManyTasks):
        await desk.retry(task.id, ALONE)
    assert (await desk.tasks.get(task.id)).state is State.FAILED

    await desk.cancel(other.id)
    await desk.retry(task.id, ALONE)
    with pytest.raises(TooManyTasks):
        await created(desk, ALONE)


async def test_what_could_not_be_stored_does_not_count() -> None:
    """A database that was away for a moment fills no quota."""
    desk = Desk(bounds=Bounds(slots={"*": 1}, queue=0))
    desk.tasks.reachable = False
    with pytest.raises(StoreUnavailable):
        await created(desk)

    desk.tasks.reachable = True
    await created(desk)


async def test_while_redis_is_away_the_records_are_counted() -> None:
    """Tasks are taken up to the same bounds, and counted in Redis by the next healing."""
    desk = Desk(bounds=SEED)
    desk.queue.reachable = desk.quotas.reachable = False
    first, *_ = [await created(desk) for _ in range(3)]
    with pytest.raises(QueueFull):
        await created(desk)
    await moved(desk, first, State.SUBMITTING, State.FAILED)
    await created(desk)

    desk.queue.reachable = desk.quotas.reachable = True
    await healing(desk).heal()
    assert await refused(desk)


@pytest.mark.parametrize("bounds", [Bounds(), SEED], ids=["unbounded", "bounded"])
async def test_an_operator_may_want_no_tasks_while_redis_is_away(bounds: Bounds) -> None:
    """Then nothing is stored, whether or not a quota is to be asked."""
    desk = Desk(bounds=bounds, without_queue=False)
    await created(desk)
    desk.queue.reachable = desk.quotas.reachable = False

    with pytest.raises(QueueUnavailable):
        await created(desk)
    assert await number_of(desk) == 1


def healing(desk: Desk) -> QuotaHealing:
    """What brings the quotas back in line with the records."""
    return QuotaHealing(desk.tasks, desk.quotas, desk.clock)


async def refused(desk: Desk) -> bool:
    """Whether another task is refused."""
    try:
        await created(desk)
    except ComeBackLater:
        return True
    return False


async def test_healing_counts_what_redis_forgot() -> None:
    """Open tasks only, each in the quotas that its record names, also where it waits once more."""
    desk = Desk(bounds=Bounds(queue=2))
    waiting = await created(desk)
    await moved(desk, await created(desk), State.SUBMITTING, State.FAILED)
    back = await moved(desk, await created(desk), State.SUBMITTING, State.PENDING)
    await desk.quotas.give_back(waiting.id, waiting.quotas)

    await healing(desk).heal()

    assert await desk.quotas.counted() == {waiting.quotas[0]: {waiting.id, back.id}}
    assert await refused(desk)


async def test_healing_drops_who_is_not_on_record_at_the_second_look() -> None:
    """At the first it may be a task that is just being stored."""
    desk = Desk(bounds=Bounds(queue=1))
    task = await created(desk)
    await desk.tasks.delete(task)
    looks = healing(desk)

    await looks.heal()
    assert await refused(desk)
    await looks.heal()
    assert not await refused(desk)


async def test_healing_never_drops_an_open_task() -> None:
    """Also one that is past its deadline: it counts until somebody ended it."""
    desk = Desk(bounds=Bounds(slots={"*": 1}, queue=0))
    await created(desk)
    looks = healing(desk)
    for _ in range(4):
        desk.pass_time(3600)
        await looks.heal()

    assert await refused(desk)


async def test_healing_goes_on_another_time_where_something_is_away() -> None:
    """Nothing is dropped by a look that was cut short."""
    desk = Desk(bounds=Bounds(queue=1))
    await created(desk)
    looks = healing(desk)
    for part in (desk.tasks, desk.quotas):
        part.reachable = False
        await looks.heal()
        part.reachable = True
        await looks.heal()

    assert await refused(desk)


class Dying(MemoryTaskRepository):
    """A repository before which the caller's task is cancelled."""

    async def add(self, *_: object, **__: object) -> None:
        """As a caller that hangs up."""
        raise asyncio.CancelledError


async def test_a_request_that_is_cut_off_does_not_count() -> None:
    """Whatever ends the storing gives the room back."""
    desk = Desk(bounds=SEED, tasks=Dying())
    with pytest.raises(asyncio.CancelledError):
        await created(desk)

    assert await desk.quotas.counted() == {}
