"""The step of a waiting task: polls until the outcome or the deadline."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from core import transitions
from core.attempts import Failure
from core.retries import MAX_DAMAGED_POLLS
from core.task_states import State
from polyrelay import (
    Done,
    GenerationFailed,
    OutcomeUnknown,
    Pending,
    ProtocolError,
    ProviderError,
    RateLimited,
    Rejected,
    TextOutput,
    Unavailable,
    Usage,
)
from tests.unit.services.execution_fixture import START, TEXT, ExecutionFixture, ScriptedService, pending


async def test_a_pending_submit_is_polled_until_it_is_done() -> None:
    """A task waits between polls without a lease, and completes with the poll that brings the result."""
    service = ScriptedService(
        submit=[pending(poll_after_s=5.0)], poll=[pending(poll_after_s=5.0), pending(poll_after_s=5.0), TEXT]
    )
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()

    await execution_fixture.play_due()
    waiting = await execution_fixture.task(task_id)
    assert (waiting.state, waiting.lease, waiting.wake_at) == (State.WAITING, None, START + timedelta(seconds=5))

    await execution_fixture.play()
    task = await execution_fixture.task(task_id)
    assert (task.state, task.results[0].text) == (State.COMPLETED, "hello")
    assert (service.polls, len(service.submits), len(task.attempts)) == (["op-1"] * 3, 1, 1)
    assert (task.updated - START).total_seconds() == 15.0


async def test_a_vendor_may_change_its_operation() -> None:
    """The operation of the latest response is the one that is polled."""
    service = ScriptedService(submit=[pending("a")], poll=[pending("b"), TEXT])
    execution_fixture = ExecutionFixture(service)
    await execution_fixture.new_task()

    await execution_fixture.play()

    assert service.polls == ["a", "b"]


async def test_progress_never_goes_back() -> None:
    """A lower progress, or none, leaves the stored progress."""
    service = ScriptedService(submit=[pending(progress=0.5)], poll=[pending(progress=0.2), pending(), TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    seen = []
    for _ in range(3):
        await execution_fixture.play_due()
        seen.append((await execution_fixture.task(task_id)).progress)
        execution_fixture.later(5.0)

    assert seen == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("asked", "waited"),
    [(0.0, 0.05), (-5.0, 0.05), (float("nan"), 0.05), (float("inf"), 300.0), (1e9, 300.0), (7.0, 7.0)],
)
async def test_poll_intervals_are_limited(asked: float, waited: float) -> None:
    """The interval that a plugin asks for is kept between 0.05 s and 300 s."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[pending(poll_after_s=asked)]))
    task_id = await execution_fixture.new_task()

    await execution_fixture.play_due()

    assert (await execution_fixture.task(task_id)).wake_at == START + timedelta(seconds=waited)


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("away"),
        RateLimited("slow"),
        OutcomeUnknown("silence"),
        Rejected("no", reason="auth"),
        Rejected("no", reason="quota"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_paid_generation_is_polled_until_its_outcome(error: ProviderError) -> None:
    """After many failed polls that may be temporary the result is stored, with one submit."""
    service = ScriptedService(submit=[pending()], poll=[error] * 30 + [TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task(deadline_s=86_400)

    await execution_fixture.play()

    task = await execution_fixture.task(task_id)
    assert (task.state, len(service.polls), len(service.submits)) == (State.COMPLETED, 31, 1)
    assert task.attempt.failure is None


async def test_damaged_polls_are_repeated_a_limited_number_of_times() -> None:
    """A poll whose response does not decode is repeated a limited number of times; a plugin's defect counts as one."""
    service = ScriptedService(submit=[pending()], poll=[ProtocolError("garbage"), ValueError("defect"), lambda: 7])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task(deadline_s=86_400)

    await execution_fixture.play()

    task = await execution_fixture.task(task_id)
    assert (task.state, task.failure and task.failure.code) == (State.FAILED, "protocol_error")
    assert (len(service.polls), len(service.submits)) == (MAX_DAMAGED_POLLS, 1)


async def test_a_successful_poll_resets_the_failed_ones() -> None:
    """A successful poll resets the count of failed polls and their reason."""
    damaged = [ProtocolError("garbage")] * (MAX_DAMAGED_POLLS - 1)
    service = ScriptedService(submit=[pending()], poll=[*damaged, pending(), *damaged, TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task(deadline_s=86_400)

    await execution_fixture.play()

    assert (await execution_fixture.task(task_id)).state is State.COMPLETED


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Rejected("gone", reason="not_found"), "vendor_not_found"),
        (Rejected("bad"), "invalid_input"),
        (Rejected("blocked", reason="content_blocked"), "content_blocked"),
        (GenerationFailed("broke"), "generation_failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_a_final_error_of_a_poll_fails_the_task(error: ProviderError, code: str) -> None:
    """An error that ends the operation fails the task at once, without another submit."""
    service = ScriptedService(submit=[pending()], poll=[error])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()

    await execution_fixture.play()

    task = await execution_fixture.task(task_id)
    assert (task.state, task.failure and task.failure.code) == (State.FAILED, code)
    assert (len(service.polls), len(service.submits)) == (1, 1)


async def test_a_task_ends_by_its_deadline() -> None:
    """An operation that is still open at the deadline is polled one last time, then the task fails with a reason."""
    service = ScriptedService(submit=[pending(poll_after_s=60.0)], poll=[pending(poll_after_s=60.0)])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task(deadline_s=90.0)

    await execution_fixture.play()

    task = await execution_fixture.task(task_id)
    assert (task.state, task.failure and task.failure.code) == (State.FAILED, "deadline_exceeded")
    assert task.updated == task.deadline
    assert len(service.polls) == 2
    assert task.attempt.operation == "op-1"


async def test_failed_polls_end_at_the_deadline() -> None:
    """Failed polls end at the deadline, too; the reason names the last of them."""
    execution_fixture = ExecutionFixture(
        ScriptedService(submit=[pending()], poll=[Unavailable("the vendor is on holiday")])
    )
    task_id = await execution_fixture.new_task(deadline_s=90.0)

    await execution_fixture.play()

    task = await execution_fixture.task(task_id)
    assert task.failure is not None
    assert (task.failure.code, task.updated) == ("deadline_exceeded", task.deadline)
    assert "on holiday" in task.failure.message


async def test_a_result_of_the_last_poll_is_stored() -> None:
    """A result of the poll at the deadline, or long after it, is stored: it was paid for."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[pending(poll_after_s=300.0)], poll=[TEXT]))
    task_id = await execution_fixture.new_task(deadline_s=100.0)
    await execution_fixture.play_due()
    execution_fixture.later(5000.0)

    await execution_fixture.play_due()

    assert (await execution_fixture.task(task_id)).state is State.COMPLETED


async def test_a_submit_that_ends_after_the_deadline_is_still_polled_once() -> None:
    """An operation that the vendor accepted after the deadline is polled once before the task ends."""

    def late() -> Pending:
        execution_fixture.later(200.0)
        return pending()

    service = ScriptedService(submit=[late], poll=[TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task(deadline_s=100.0)

    await execution_fixture.play()

    assert (await execution_fixture.task(task_id)).state is State.COMPLETED
    assert len(service.polls) == 1


async def test_early_polls_do_not_happen() -> None:
    """A repeated wake of a waiting task does not poll before its time."""
    service = ScriptedService(submit=[pending(poll_after_s=60.0)], poll=[TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    await execution_fixture.play_due()

    for _ in range(5):
        execution_fixture.later(10.0)
        await execution_fixture.step(task_id)

    assert service.polls == []


async def test_a_poll_without_news_is_not_saved() -> None:
    """The wake of the stored `wake_at` arrives again after the poll interval; nothing is saved until there is news."""
    service = ScriptedService(
        submit=[pending(poll_after_s=5.0)], poll=[pending(poll_after_s=7.0)] * 3 + [pending(progress=0.5), TEXT]
    )
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    await execution_fixture.play_due()
    accepted = await execution_fixture.task(task_id)

    for seconds in (5, 12, 19, 26):
        assert execution_fixture.queue.next_at() == START + timedelta(seconds=seconds)
        assert await execution_fixture.task(task_id) == accepted
        execution_fixture.now = START + timedelta(seconds=seconds)
        await execution_fixture.play_due()
    assert (await execution_fixture.task(task_id)).progress == 0.5

    await execution_fixture.play()
    states = [task.state for task in execution_fixture.tasks.saves]
    assert states == [State.SUBMITTING, State.WAITING, State.WAITING, State.COMPLETED]
    assert len(service.polls) == 5


@pytest.mark.parametrize(
    "news",
    [
        pending("op-2", poll_after_s=5.0),
        pending(progress=0.1, poll_after_s=5.0),
        pending(unknown_status="dreaming", poll_after_s=5.0),
    ],
    ids=["operation", "progress", "unknown-status"],
)
async def test_news_of_a_poll_is_saved(news: Pending) -> None:
    """Another operation, more progress or an unknown status is saved, and the next wake is for the saved `wake_at`."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[pending(poll_after_s=5.0)], poll=[news]))
    task_id = await execution_fixture.new_task()
    await execution_fixture.play_due()
    execution_fixture.later(5.0)
    await execution_fixture.play_due()

    task = await execution_fixture.task(task_id)
    assert (task.version, task.wake_at) == (4, execution_fixture.now + timedelta(seconds=5))
    assert (execution_fixture.queue.next_at(), execution_fixture.queue.put_back) == (task.wake_at, {})


async def test_a_successful_poll_after_a_failed_one_is_saved_once() -> None:
    """It resets the count of failures; a further poll like it brings no news."""
    execution_fixture = ExecutionFixture(
        ScriptedService(submit=[pending()], poll=[Unavailable("away"), pending(), pending()])
    )
    task_id = await execution_fixture.new_task()
    versions = []
    for _ in range(4):
        await execution_fixture.play_due()
        versions.append((await execution_fixture.task(task_id)).version)
        execution_fixture.later(30.0)

    assert versions == [3, 4, 5, 5]


async def test_only_the_wake_of_the_stored_moment_continues_polling() -> None:
    """Other wakes of a task poll at most once and are used up, so a task has one chain of polls."""
    service = ScriptedService(submit=[pending(poll_after_s=5.0)], poll=[pending(poll_after_s=5.0)])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    await execution_fixture.play_due()
    for _ in range(20):
        execution_fixture.later(5.0)
        await execution_fixture.queue.wake(task_id, at=execution_fixture.now)
        await execution_fixture.play_due()

    assert len(execution_fixture.queue.put_back) == 1
    before = len(service.polls)
    for _ in range(10):
        execution_fixture.later(5.0)
        await execution_fixture.play_due()
    assert len(service.polls) == before + 10


async def test_a_new_chain_of_polls_ends_the_former_one() -> None:
    """After another wake saved news, the wake of the former `wake_at` polls at most once and is used up."""
    news = [pending(progress=number / 100, poll_after_s=5.0) for number in range(1, 30)]
    service = ScriptedService(submit=[pending(poll_after_s=5.0)], poll=[pending(poll_after_s=5.0), *news])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    await execution_fixture.play_due()
    execution_fixture.later(5.0)
    await execution_fixture.play_due()
    assert len(execution_fixture.queue.put_back) == 1

    await execution_fixture.step(task_id)  # a stray one, which has news
    assert len(execution_fixture.queue.wakes) == 1
    polls = len(service.polls)
    for _ in range(5):
        execution_fixture.later(5.0)
        await execution_fixture.play_due()

    assert (len(execution_fixture.queue.wakes), execution_fixture.queue.put_back) == (1, {})
    assert len(service.polls) <= polls + 6


async def test_a_wake_that_comes_too_early_is_put_back_until_its_time() -> None:
    """A wake that a fast clock delivers early arrives again at its time; a wake of another moment is used up."""
    service = ScriptedService(submit=[pending(poll_after_s=60.0)], poll=[TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    await execution_fixture.play_due()
    at = (await execution_fixture.task(task_id)).wake_at
    assert at is not None
    execution_fixture.later(50.0)

    assert await execution_fixture.step(task_id, execution_fixture.queue.name_of(task_id, at)) == 10.0
    assert (
        await execution_fixture.step(task_id, execution_fixture.queue.name_of(task_id, execution_fixture.now)) is None
    )
    assert await execution_fixture.step(task_id) is None
    assert service.polls == []


async def test_polls_without_news_end_at_the_deadline() -> None:
    """The last poll is at the deadline, whatever interval the vendor asks for, and the task fails with a reason."""
    service = ScriptedService(submit=[pending(poll_after_s=40.0)], poll=[pending(poll_after_s=40.0)])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task(deadline_s=100.0)

    await execution_fixture.play()

    task = await execution_fixture.task(task_id)
    assert (task.state, task.updated, task.version) == (State.FAILED, task.deadline, 4)
    assert len(service.polls) == 3


async def test_a_cancellation_request_is_carried_out_between_polls_without_news() -> None:
    """The wake of the request, or the next poll if that wake is lost, cancels the task; its polls end."""
    service = ScriptedService(submit=[pending(poll_after_s=5.0)], poll=[pending(poll_after_s=5.0)])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    for _ in range(4):
        await execution_fixture.play_due()
        execution_fixture.later(5.0)
    await execution_fixture.tasks.request_cancel(task_id, at=execution_fixture.now)

    await execution_fixture.play_due()

    assert (await execution_fixture.task(task_id)).state is State.CANCELLED
    assert execution_fixture.queue.next_at() is None


async def test_a_task_may_end_during_a_poll_without_news() -> None:
    """If the task ends during a poll without news, the wake arrives once more, finds the final state and is used up."""

    def ended_meanwhile() -> Any:
        async def answer() -> Pending:
            task = await execution_fixture.task(task_id)
            await execution_fixture.tasks.save(
                transitions.cancelled(task, Failure(code="cancelled", message="x"), now=execution_fixture.now)
            )
            return pending(poll_after_s=5.0)

        return answer()

    execution_fixture = ExecutionFixture(ScriptedService(submit=[pending(poll_after_s=5.0)], poll=[ended_meanwhile]))
    task_id = await execution_fixture.new_task()

    await execution_fixture.play()

    assert [task.state for task in execution_fixture.tasks.saves] == [State.SUBMITTING, State.WAITING, State.CANCELLED]


async def test_two_workers_that_poll_at_once_write_once() -> None:
    """Both poll the vendor, which costs nothing; one of them saves the result."""
    service = ScriptedService(submit=[pending()], poll=[TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    await execution_fixture.play_due()
    execution_fixture.later(5.0)

    await asyncio.gather(execution_fixture.step(task_id), execution_fixture.worker()(task_id))

    states = [task.state for task in execution_fixture.tasks.saves]
    assert states == [State.SUBMITTING, State.WAITING, State.COMPLETED]


async def test_a_poll_that_a_crash_cut_off_is_repeated() -> None:
    """The worker that gets the next wake repeats a poll that a crash cut off."""
    service = ScriptedService(submit=[pending()], poll=[asyncio.CancelledError(), TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    await execution_fixture.play_due()
    execution_fixture.later(5.0)
    with pytest.raises(asyncio.CancelledError):
        await execution_fixture.step(task_id)

    execution_fixture.later(10.0)
    await execution_fixture.reconciler.reconcile()
    await execution_fixture.play()

    assert (await execution_fixture.task(task_id)).state is State.COMPLETED
    assert len(service.submits) == 1


async def test_input_that_no_longer_fits_does_not_lose_a_paid_generation() -> None:
    """A worker of another version that cannot read the input leaves the operation open until the deadline."""
    service = ScriptedService(submit=[TEXT], poll=[TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task(task_input={"words": "from a newer version"}, deadline_s=600.0)
    task = transitions.begun(
        await execution_fixture.task(task_id), choice=0, owner="w", lease_s=30, now=execution_fixture.now
    )
    await execution_fixture.tasks.save(task)
    await execution_fixture.tasks.save(
        transitions.accepted(task, pending(), poll_at=execution_fixture.now, now=execution_fixture.now)
    )

    await execution_fixture.step(task_id)
    assert (await execution_fixture.task(task_id)).state is State.WAITING

    await execution_fixture.play()
    ended = await execution_fixture.task(task_id)
    assert (ended.failure and ended.failure.code, ended.updated) == ("deadline_exceeded", ended.deadline)


async def test_a_poll_without_a_response_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that hangs in a poll at the deadline does not keep the task open."""
    monkeypatch.setattr("services.execution.plugin_calls.LAST_RESPONSE_S", 0.02)

    def hang() -> Any:
        execution_fixture.later(1000.0)
        return asyncio.Event().wait()

    execution_fixture = ExecutionFixture(ScriptedService(submit=[pending(poll_after_s=300.0)], poll=[hang]))
    task_id = await execution_fixture.new_task(deadline_s=100.0)
    await execution_fixture.play_due()
    execution_fixture.later(100.0)

    await execution_fixture.play_due()

    task = await execution_fixture.task(task_id)
    assert (task.state, task.failure and task.failure.code) == (State.FAILED, "deadline_exceeded")


async def test_usage_is_kept() -> None:
    """The usage that the vendor reported is stored with the result."""
    done = Done(outputs=(TextOutput(text="x"),), usage=Usage(output_tokens=3))
    execution_fixture = ExecutionFixture(ScriptedService(submit=[pending()], poll=[done]))
    task_id = await execution_fixture.new_task()

    await execution_fixture.play()

    assert (await execution_fixture.task(task_id)).usage == Usage(output_tokens=3)
