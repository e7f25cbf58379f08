"""Retrying a failed task because its caller says so."""

import asyncio
from datetime import timedelta

import pytest

from core.errors import NotPossible, ProviderUnavailable, StoreUnavailable, TaskNotFound
from core.priorities import Priority
from core.task_states import State
from core.tasks import Result
from core.wakes import Wake
from polyrelay import TaskType, Usage
from services.tasks.billing import may_be_billed
from tests.unit.services.use_case_fixture import FALLBACK, REFUSED, START, UNKNOWN, UseCaseFixture, attempt_of

FAILED = {"state": State.FAILED, "failure": UNKNOWN}


async def test_a_failed_task_waits_again_with_nothing_left_of_its_failure() -> None:
    """First choice first, its attempts still stored, one wake in its queue."""
    use_case_fixture = UseCaseFixture()
    attempts = (attempt_of(State.FAILED, START, failure=UNKNOWN),)
    task = await use_case_fixture.stored(
        **FAILED,
        attempts=attempts,
        fallbacks=(FALLBACK,),
        choice=1,
        priority=Priority.LOW,
        progress=0.5,
        usage=Usage(images=1),
        results=(Result(type=TaskType.IMAGE, url="http://x"),),
    )
    use_case_fixture.pass_time(100)

    again = await use_case_fixture.retry(task.id)

    assert again == await use_case_fixture.tasks.get(task.id)
    assert (again.state, again.choice, again.wake_at, again.version) == (
        State.PENDING,
        0,
        use_case_fixture.now,
        task.version + 1,
    )
    assert (again.attempts, again.attempts_before) == (attempts, 1)
    assert (again.failure, again.results, again.usage, again.progress, again.lease) == (None, (), None, None, None)
    assert use_case_fixture.queue.history == [Wake(task_id=task.id, at=use_case_fixture.now, priority=Priority.LOW)]


async def test_each_retry_has_as_much_time_as_the_task_had_at_first() -> None:
    """However long it lay, and however often it was retried."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored(**FAILED, deadline=START + timedelta(seconds=42))

    for pause_s in (100, 7):
        use_case_fixture.pass_time(pause_s)
        again = await use_case_fixture.retry(task.id)
        assert again.deadline - use_case_fixture.now == timedelta(seconds=42)
        use_case_fixture.pass_time(5)
        await use_case_fixture.tasks.save(again.to(State.FAILED, now=use_case_fixture.now, failure=REFUSED))


async def test_an_earlier_cancellation_request_does_not_cancel_the_retry() -> None:
    """It is removed by the write that reopens the task; a new request counts."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored(state=State.WAITING)
    await use_case_fixture.cancel(task.id)
    wished = await use_case_fixture.tasks.get(task.id)
    await use_case_fixture.tasks.save(wished.to(State.FAILED, now=START, failure=REFUSED))
    assert (await use_case_fixture.tasks.get(task.id)).cancel_requested is not None

    again = await use_case_fixture.retry(task.id)

    assert (await use_case_fixture.tasks.get(task.id)).cancel_requested is None
    await use_case_fixture.tasks.save(again.to(State.SUBMITTING, now=START))
    use_case_fixture.pass_time(1)
    assert (await use_case_fixture.cancel(task.id)).task.cancel_requested == use_case_fixture.now


@pytest.mark.parametrize("state", sorted(set(State) - {State.FAILED}))
async def test_only_a_failed_task_is_retried(state: State) -> None:
    """The text says how it stands, and it is not touched."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored(state=state)

    with pytest.raises(NotPossible, match=f"is {task.status}"):
        await use_case_fixture.retry(task.id)

    assert await use_case_fixture.tasks.get(task.id) == task
    assert use_case_fixture.queue.history == []


async def test_an_unknown_task_is_not_found() -> None:
    """There is nothing to retry."""
    with pytest.raises(TaskNotFound):
        await UseCaseFixture().retry("task_none")


async def test_of_retries_at_once_one_is() -> None:
    """The others hear that the task is pending: one retry, one wake, one more version."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored(**FAILED)

    outcomes = await asyncio.gather(*(use_case_fixture.retry(task.id) for _ in range(10)), return_exceptions=True)

    assert sum(isinstance(outcome, NotPossible) for outcome in outcomes) == 9
    assert (await use_case_fixture.tasks.get(task.id)).version == task.version + 1
    assert len(use_case_fixture.queue.history) == 1


async def test_a_task_that_nobody_serves_any_more_is_not_retried() -> None:
    """Neither where its models are gone, nor where they have no credentials; a fallback that is served is enough."""
    use_case_fixture = UseCaseFixture()
    gone = await use_case_fixture.stored(**FAILED, model="gone")
    shut = await use_case_fixture.stored(**FAILED, provider="shut", model="closed")
    backed = await use_case_fixture.stored(**FAILED, model="gone", fallbacks=(FALLBACK,))

    with pytest.raises(NotPossible, match="no longer served"):
        await use_case_fixture.retry(gone.id)
    with pytest.raises(ProviderUnavailable, match="no key"):
        await use_case_fixture.retry(shut.id)
    assert (await use_case_fixture.retry(backed.id)).state is State.PENDING


async def test_a_lost_wake_does_not_lose_the_retry() -> None:
    """The reconciler finds the task by its record."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored(**FAILED)
    use_case_fixture.queue.reachable = False

    assert (await use_case_fixture.retry(task.id)).wake_at == use_case_fixture.now


async def test_without_a_store_nothing_is_promised() -> None:
    """The caller gets 503, and no worker is woken."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored(**FAILED)
    use_case_fixture.tasks.reachable = False

    with pytest.raises(StoreUnavailable):
        await use_case_fixture.retry(task.id)
    assert use_case_fixture.queue.history == []


@pytest.mark.parametrize(
    ("fields", "billed"),
    [
        ({"failure": UNKNOWN}, True),
        ({"failure": REFUSED}, False),
        ({"failure": REFUSED, "accepted": START}, True),
        ({"ended": None}, True),
    ],
    ids=["unknown", "refused", "taken", "open"],
)
async def test_what_may_be_billed_is_reported(fields: dict[str, object], billed: bool) -> None:
    """An attempt that was taken, is open or has an unknown outcome may be billed; one that was refused is not."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored(**FAILED, attempts=(attempt_of(State.FAILED, START, **fields),))

    assert may_be_billed(await use_case_fixture.retry(task.id)) is billed
