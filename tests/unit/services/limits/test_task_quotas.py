"""Task quotas: which tasks count, which are refused, and what happens during outages."""

import asyncio

import pytest

from core.callers import Caller, KeyLimits, Role
from core.errors import ComeBackLater, QueueFull, QueueUnavailable, StoreUnavailable, TooManyTasks
from core.task_repository import TaskQuery
from core.task_states import State
from core.tasks import Task
from polyrelay import TaskType
from services.limits.quota_reconciler import QuotaReconciler
from services.limits.task_quotas import QuotaLimits
from tests.fakes.tasks import MemoryTaskRepository
from tests.unit.services.use_case_fixture import BODY, START, UseCaseFixture

SEED = QuotaLimits(slots={"*": 1}, queue=2)
ALONE = Caller(role=Role.APP, owner="ow_1", key_id="k_1", limits=KeyLimits(max_concurrent=1, max_queue=0))
OTHER = Caller(role=Role.APP, owner="ow_2", key_id="k_2", limits=ALONE.limits)
TO_TWO = {**BODY, "provider": "two", "model": "narrow", "size": "1x1"}


async def created(use_case_fixture: UseCaseFixture, caller: Caller | None = None, **fields: object) -> Task:
    """A new task."""
    return await use_case_fixture.create(TaskType.IMAGE, {**BODY, **fields}, *([caller] if caller else []))


async def number_of(use_case_fixture: UseCaseFixture) -> int:
    """How many tasks are stored."""
    return (await use_case_fixture.tasks.page(TaskQuery())).total


async def moved(use_case_fixture: UseCaseFixture, task: Task, *states: State) -> Task:
    """That task in its next state, as a worker saves it."""
    for state in states:
        task = task.to(state, now=START)
        await use_case_fixture.recorder.record(task)
    return task


async def test_without_limits_redis_is_not_called() -> None:
    """Without a limit there is no call to Redis."""
    use_case_fixture = UseCaseFixture(quota_limits=QuotaLimits(slots={"*": 1}))
    task = await created(use_case_fixture, Caller(role=Role.APP, owner="ow_1"))

    assert use_case_fixture.quotas.asked == 0
    assert (task.owner, task.quotas) == ("ow_1", ())


async def test_slots_and_the_queue_together_limit_the_open_tasks() -> None:
    """A submitted task counts until it ends; tasks of other providers do not count."""
    use_case_fixture = UseCaseFixture(quota_limits=SEED)
    first, *_ = [await created(use_case_fixture) for _ in range(3)]
    await moved(use_case_fixture, first, State.SUBMITTING)

    with pytest.raises(QueueFull) as caught:
        await created(use_case_fixture)
    assert caught.value.retry_after_s > 0
    assert await number_of(use_case_fixture) == 3
    await use_case_fixture.create(TaskType.IMAGE, TO_TWO)

    await moved(use_case_fixture, await use_case_fixture.tasks.get(first.id), State.COMPLETED)
    await created(use_case_fixture)


async def test_without_limited_slots_only_waiting_is_limited() -> None:
    """A submitted task no longer counts."""
    use_case_fixture = UseCaseFixture(quota_limits=QuotaLimits(queue=1))
    task = await created(use_case_fixture)
    with pytest.raises(QueueFull):
        await created(use_case_fixture)

    await moved(use_case_fixture, task, State.SUBMITTING)
    await created(use_case_fixture)


async def test_a_key_with_one_slot_and_no_queue_has_one_task_at_a_time() -> None:
    """Its second task is refused with a code of its own; a task of another key is not."""
    use_case_fixture = UseCaseFixture()
    task = await created(use_case_fixture, ALONE)
    assert (task.owner, task.key_id, task.key_max_concurrent) == ("ow_1", "k_1", 1)

    with pytest.raises(TooManyTasks):
        await created(use_case_fixture, ALONE)
    await created(use_case_fixture, OTHER)

    await moved(use_case_fixture, task, State.SUBMITTING, State.FAILED)
    await created(use_case_fixture, ALONE)


async def test_keys_without_limits_have_those_of_every_key() -> None:
    """Each limit by itself: a key's own comes first."""
    use_case_fixture = UseCaseFixture(quota_limits=QuotaLimits(key=KeyLimits(max_concurrent=1, max_queue=0)))
    plain = Caller(role=Role.APP, owner="ow_1")
    longer = Caller(role=Role.APP, owner="ow_2", limits=KeyLimits(max_queue=1))
    assert [(await created(use_case_fixture, caller)).key_max_concurrent for caller in (plain, longer, longer)] == [
        1,
        1,
        1,
    ]

    for caller in (plain, longer):
        with pytest.raises(TooManyTasks):
            await created(use_case_fixture, caller)


async def test_callers_without_a_key_have_no_quota_of_a_key() -> None:
    """With `AUTH=none` there are no keys, so no quota of a key."""
    use_case_fixture = UseCaseFixture(quota_limits=QuotaLimits(key=KeyLimits(max_concurrent=1, max_queue=0)))

    assert [(await created(use_case_fixture)).key_max_concurrent for _ in range(3)] == [None] * 3


async def test_of_many_at_once_no_more_than_the_limit_are_stored() -> None:
    """Refused tasks leave nothing in Redis or MongoDB."""
    use_case_fixture = UseCaseFixture(quota_limits=SEED)
    outcomes = await asyncio.gather(*(created(use_case_fixture) for _ in range(20)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes].count(QueueFull) == 17
    assert await number_of(use_case_fixture) == 3


@pytest.mark.parametrize("state", [State.PENDING, State.STORING])
async def test_a_cancelled_or_deleted_task_no_longer_counts(state: State) -> None:
    """Whatever its state was."""
    use_case_fixture = UseCaseFixture(quota_limits=QuotaLimits(slots={"*": 1}, queue=0))
    task = await created(use_case_fixture)
    if state is State.PENDING:
        await use_case_fixture.cancel(task.id)
        task = await created(use_case_fixture)
    else:
        await moved(use_case_fixture, task, State.SUBMITTING, State.STORING)
    await use_case_fixture.delete(task.id)

    await created(use_case_fixture)


async def test_a_task_that_waits_for_its_next_attempt_still_counts() -> None:
    """A pending task between two attempts is open."""
    use_case_fixture = UseCaseFixture(quota_limits=QuotaLimits(slots={"*": 1}, queue=0))
    await moved(use_case_fixture, await created(use_case_fixture), State.SUBMITTING, State.PENDING)

    with pytest.raises(QueueFull):
        await created(use_case_fixture)


async def test_a_retry_counts_in_the_quotas_as_a_new_task_does() -> None:
    """If the quota is full the task stays failed; else it counts again."""
    use_case_fixture = UseCaseFixture()
    task = await moved(use_case_fixture, await created(use_case_fixture, ALONE), State.SUBMITTING, State.FAILED)
    other = await created(use_case_fixture, ALONE)

    with pytest.raises(TooManyTasks):
        await use_case_fixture.retry(task.id, ALONE)
    assert (await use_case_fixture.tasks.get(task.id)).state is State.FAILED

    await use_case_fixture.cancel(other.id)
    await use_case_fixture.retry(task.id, ALONE)
    with pytest.raises(TooManyTasks):
        await created(use_case_fixture, ALONE)


async def test_a_task_that_could_not_be_stored_does_not_count() -> None:
    """A task that could not be stored does not count."""
    use_case_fixture = UseCaseFixture(quota_limits=QuotaLimits(slots={"*": 1}, queue=0))
    use_case_fixture.tasks.reachable = False
    with pytest.raises(StoreUnavailable):
        await created(use_case_fixture)

    use_case_fixture.tasks.reachable = True
    await created(use_case_fixture)


async def test_while_redis_is_unavailable_the_stored_tasks_are_counted() -> None:
    """Tasks are created up to the same limits, and the next run of the quota reconciler counts them in Redis."""
    use_case_fixture = UseCaseFixture(quota_limits=SEED)
    use_case_fixture.queue.reachable = use_case_fixture.quotas.reachable = False
    first, *_ = [await created(use_case_fixture) for _ in range(3)]
    with pytest.raises(QueueFull):
        await created(use_case_fixture)
    await moved(use_case_fixture, first, State.SUBMITTING, State.FAILED)
    await created(use_case_fixture)

    use_case_fixture.queue.reachable = use_case_fixture.quotas.reachable = True
    await gate_reconciler(use_case_fixture).reconcile()
    assert await refused(use_case_fixture)


@pytest.mark.parametrize("quota_limits", [QuotaLimits(), SEED], ids=["unbounded", "bounded"])
async def test_a_setting_refuses_tasks_while_redis_is_unavailable(quota_limits: QuotaLimits) -> None:
    """With that setting no task is stored, whether or not it has quotas."""
    use_case_fixture = UseCaseFixture(quota_limits=quota_limits, without_queue=False)
    await created(use_case_fixture)
    use_case_fixture.queue.reachable = use_case_fixture.quotas.reachable = False

    with pytest.raises(QueueUnavailable):
        await created(use_case_fixture)
    assert await number_of(use_case_fixture) == 1


def gate_reconciler(use_case_fixture: UseCaseFixture) -> QuotaReconciler:
    """The quota reconciler."""
    return QuotaReconciler(use_case_fixture.tasks, use_case_fixture.quotas, use_case_fixture.clock)


async def refused(use_case_fixture: UseCaseFixture) -> bool:
    """Whether another task is refused."""
    try:
        await created(use_case_fixture)
    except ComeBackLater:
        return True
    return False


async def test_reconciliation_counts_what_redis_lost() -> None:
    """Open tasks count again, each in the quotas that it names, also one that is pending again."""
    use_case_fixture = UseCaseFixture(quota_limits=QuotaLimits(queue=2))
    waiting = await created(use_case_fixture)
    await moved(use_case_fixture, await created(use_case_fixture), State.SUBMITTING, State.FAILED)
    back = await moved(use_case_fixture, await created(use_case_fixture), State.SUBMITTING, State.PENDING)
    await use_case_fixture.quotas.give_back(waiting.id, waiting.quotas)

    await gate_reconciler(use_case_fixture).reconcile()

    assert await use_case_fixture.quotas.counted() == {waiting.quotas[0]: {waiting.id, back.id}}
    assert await refused(use_case_fixture)


async def test_reconciliation_drops_what_is_not_stored_at_its_second_run() -> None:
    """At the first run it may be a task that is being stored."""
    use_case_fixture = UseCaseFixture(quota_limits=QuotaLimits(queue=1))
    task = await created(use_case_fixture)
    await use_case_fixture.tasks.delete(task)
    looks = gate_reconciler(use_case_fixture)

    await looks.reconcile()
    assert await refused(use_case_fixture)
    await looks.reconcile()
    assert not await refused(use_case_fixture)


async def test_reconciliation_never_drops_an_open_task() -> None:
    """Also a task past its deadline counts until it ends."""
    use_case_fixture = UseCaseFixture(quota_limits=QuotaLimits(slots={"*": 1}, queue=0))
    await created(use_case_fixture)
    looks = gate_reconciler(use_case_fixture)
    for _ in range(4):
        use_case_fixture.pass_time(3600)
        await looks.reconcile()

    assert await refused(use_case_fixture)


async def test_an_interrupted_reconciliation_is_repeated_at_the_next_run() -> None:
    """A run that an outage interrupts drops nothing."""
    use_case_fixture = UseCaseFixture(quota_limits=QuotaLimits(queue=1))
    await created(use_case_fixture)
    looks = gate_reconciler(use_case_fixture)
    for part in (use_case_fixture.tasks, use_case_fixture.quotas):
        part.reachable = False
        await looks.reconcile()
        part.reachable = True
        await looks.reconcile()

    assert await refused(use_case_fixture)


class Dying(MemoryTaskRepository):
    """A repository whose caller is cancelled during `add`."""

    async def add(self, *_: object, **__: object) -> None:
        """Behave as if the caller hung up."""
        raise asyncio.CancelledError


async def test_a_request_that_is_cancelled_does_not_count() -> None:
    """Any exception during the store stops counting the task."""
    use_case_fixture = UseCaseFixture(quota_limits=SEED, tasks=Dying())
    with pytest.raises(asyncio.CancelledError):
        await created(use_case_fixture)

    assert await use_case_fixture.quotas.counted() == {}
