"""The submit: at most one paid request, whatever breaks."""

import asyncio
from typing import Any

import pytest

from core.errors import StoreUnavailable
from core.retries import MAX_ATTEMPTS, MAX_GENERATIONS
from core.task_states import State, Status
from polyrelay import (
    Disabled,
    Done,
    GenerationFailed,
    NotAccepted,
    OutcomeUnknown,
    Overloaded,
    Pending,
    ProtocolError,
    ProviderError,
    RateLimited,
    Rejected,
    TextOutput,
    Unavailable,
)
from tests.unit.services.execution_fixture import LEASE_S, START, TEXT, ExecutionFixture, ScriptedService, pending


async def test_a_submit_that_is_done_at_once_completes_the_task() -> None:
    """A response that is the result completes the task in one step, with one attempt that was accepted and ended."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    task_id = await execution_fixture.new_task()

    await execution_fixture.play_due()

    task = await execution_fixture.task(task_id)
    assert (task.state, task.results[0].text, task.progress) == (State.COMPLETED, "hello", 1.0)
    assert (task.attempt.accepted, task.attempt.ended) == (START, START)
    assert (task.lease, task.wake_at, execution_fixture.queue.wakes) == (None, None, [])


async def test_the_attempt_is_stored_before_the_vendor_is_called() -> None:
    """During the submit the stored task has the attempt, the owner and the lease."""
    seen: list[Any] = []

    async def look() -> Done:
        seen.append(await execution_fixture.task(task_id))
        return TEXT

    execution_fixture = ExecutionFixture(ScriptedService(submit=[look]))
    task_id = await execution_fixture.new_task()

    await execution_fixture.play_due()

    assert (seen[0].state, seen[0].attempt.number) == (State.SUBMITTING, 1)
    assert (seen[0].lease.until - START).total_seconds() == LEASE_S


async def test_the_job_carries_the_callers_input() -> None:
    """A service sees the task's id, the number of the attempt, the parsed params and the deadline."""
    service = ScriptedService(submit=[TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()

    await execution_fixture.play_due()

    job = service.submits[0]
    assert (job.task_id, job.attempt, job.model, job.params.prompt) == (task_id, 1, "pen-1", "a cat")
    assert job.deadline == (await execution_fixture.task(task_id)).deadline


@pytest.mark.parametrize("error", [Unavailable("away"), RateLimited("slow"), Overloaded("full"), NotAccepted("no")])
async def test_what_was_not_accepted_is_submitted_again_later(error: NotAccepted) -> None:
    """After a submit that was not accepted the task is pending with a later wake, and keeps the attempt."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[error]))
    task_id = await execution_fixture.new_task()

    await execution_fixture.play_due()

    task = await execution_fixture.task(task_id)
    assert (task.status, task.lease) == (Status.PENDING, None)
    assert task.attempt.failure is not None
    assert task.attempt.ended == START
    assert task.wake_at is not None
    assert task.wake_at > START
    assert execution_fixture.queue.next_at() == task.wake_at


async def test_the_vendors_retry_after_is_kept() -> None:
    """The next submit is not before the time that the vendor asks for."""
    service = ScriptedService(submit=[RateLimited("slow", retry_after_s=40.0), TEXT])
    execution_fixture = ExecutionFixture(service)
    await execution_fixture.new_task()

    await execution_fixture.play_due()
    execution_fixture.later(39.0)
    await execution_fixture.play_due()
    assert len(service.submits) == 1

    await execution_fixture.play()
    assert len(service.submits) == 2


async def test_submits_that_are_never_accepted_fail_the_task() -> None:
    """Submits that are not accepted are limited to `MAX_ATTEMPTS`, and the task says why it failed."""
    service = ScriptedService(submit=[Overloaded("full")])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task(deadline_s=10**6)

    await execution_fixture.play()

    task = await execution_fixture.task(task_id)
    assert task.state is State.FAILED
    assert task.failure is not None
    assert task.failure.code == "overloaded"
    assert len(service.submits) == MAX_ATTEMPTS


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Rejected("no"), "invalid_input"),
        (Rejected("no", reason="content_blocked"), "content_blocked"),
        (Rejected("no", reason="auth"), "vendor_auth"),
        (Rejected("no", reason="quota"), "vendor_quota"),
        (Rejected("no", reason="not_found"), "vendor_not_found"),
        (GenerationFailed("broke"), "generation_failed"),
        (ProviderError("what"), "generation_failed"),
        (OutcomeUnknown("silence"), "outcome_unknown"),
        (ProtocolError("garbage"), "outcome_unknown"),
        (KeyError("a plugin's defect"), "outcome_unknown"),
        (TimeoutError(), "outcome_unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_what_may_have_been_accepted_is_never_submitted_again(error: Exception, code: str) -> None:
    """A refusal and an unknown outcome end the task at once; no further wake submits it again."""
    service = ScriptedService(submit=[error, TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()

    await execution_fixture.play_due()
    for _ in range(5):
        execution_fixture.later(3600.0)
        await execution_fixture.step(task_id)
        await execution_fixture.reconciler.reconcile()
        await execution_fixture.play()

    task = await execution_fixture.task(task_id)
    assert (task.state, task.failure and task.failure.code) == (State.FAILED, code)
    assert len(service.submits) == 1


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"outputs": []},
        Done(outputs=()),
        Done(outputs=("a text",)),  # type: ignore[arg-type]
        Done(outputs=[TextOutput(text="x")]),  # type: ignore[arg-type]
        Pending(operation=None),  # type: ignore[arg-type]
        Pending(operation="op", poll_after_s="soon"),  # type: ignore[arg-type]
    ],
    ids=["none", "dict", "empty", "text", "list", "no operation", "word"],
)
async def test_a_value_that_violates_the_contract_is_an_unknown_outcome(answer: Any) -> None:
    """If a plugin returns a value that violates its contract, the task fails with an unknown outcome."""
    service = ScriptedService(submit=[lambda: answer, TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()

    await execution_fixture.play_due()

    task = await execution_fixture.task(task_id)
    assert (task.state, task.failure and task.failure.code) == (State.FAILED, "outcome_unknown")
    assert len(service.submits) == 1


async def test_an_idempotent_model_is_submitted_again_after_a_missing_response() -> None:
    """If a repeated submit does nothing at the vendor, the task is submitted again after an unknown outcome."""
    service = ScriptedService(submit=[OutcomeUnknown("silence"), ProtocolError("garbage"), TEXT], idempotent=True)
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()

    await execution_fixture.play()

    assert (await execution_fixture.task(task_id)).state is State.COMPLETED
    assert [job.attempt for job in service.submits] == [1, 2, 3]


async def test_generations_that_fail_within_the_submit_are_limited() -> None:
    """A generation that fails within the submit, and may be billed, is submitted at most three times."""
    service = ScriptedService(submit=[GenerationFailed("broke", retryable=True)])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task(deadline_s=10**6)

    await execution_fixture.play()

    task = await execution_fixture.task(task_id)
    assert (task.state, task.failure and task.failure.code) == (State.FAILED, "generation_failed")
    assert len(service.submits) == MAX_GENERATIONS


async def test_generations_that_fail_later_are_limited() -> None:
    """A generation that fails while it is polled gets a new attempt with a new operation, at most three in all."""
    operations = iter(["op-1", "op-2", "op-3", "op-4"])
    service = ScriptedService(
        submit=[lambda: pending(next(operations))], poll=[GenerationFailed("broke", retryable=True)]
    )
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task(deadline_s=10**6)

    await execution_fixture.play()

    task = await execution_fixture.task(task_id)
    assert task.state is State.FAILED
    assert [attempt.operation for attempt in task.attempts] == ["op-1", "op-2", "op-3"]
    assert service.polls == ["op-1", "op-2", "op-3"]


async def test_two_workers_that_are_woken_at_once_submit_once() -> None:
    """Of two workers with the same wake, one submits and one leaves it; there is one terminal write."""
    service = ScriptedService(submit=[TEXT])
    execution_fixture = ExecutionFixture(service)
    other = execution_fixture.worker()
    task_id = await execution_fixture.new_task()

    await asyncio.gather(execution_fixture.step(task_id), other(task_id), execution_fixture.step(task_id))

    assert len(service.submits) == 1
    assert [task.state for task in execution_fixture.tasks.saves] == [State.SUBMITTING, State.COMPLETED]


async def test_a_wake_during_the_submit_does_nothing() -> None:
    """A repeated wake of a task that another step submits does nothing."""
    began, go = asyncio.Event(), asyncio.Event()

    async def slow() -> Done:
        began.set()
        await go.wait()
        return TEXT

    service = ScriptedService(submit=[slow])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    step = asyncio.create_task(execution_fixture.step(task_id))
    await began.wait()

    await execution_fixture.step(task_id)
    await execution_fixture.worker()(task_id)

    assert (await execution_fixture.task(task_id)).state is State.SUBMITTING
    go.set()
    await step
    assert (await execution_fixture.task(task_id)).state is State.COMPLETED
    assert len(service.submits) == 1


async def test_a_crashed_workers_submit_is_an_unknown_outcome() -> None:
    """If a worker is killed during the submit, the task fails with `outcome_unknown` when its lease has expired."""
    began = asyncio.Event()

    async def forever() -> Done:
        began.set()
        await asyncio.Event().wait()
        return TEXT

    service = ScriptedService(submit=[forever, TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    step = asyncio.create_task(execution_fixture.step(task_id))
    await began.wait()
    step.cancel()
    await asyncio.gather(step, return_exceptions=True)

    execution_fixture.later(LEASE_S + 10.0)
    await execution_fixture.reconciler.renew()
    await execution_fixture.reconciler.reconcile()
    await execution_fixture.play_due()

    task = await execution_fixture.task(task_id)
    assert (task.state, task.failure and task.failure.code) == (State.FAILED, "outcome_unknown")
    assert task.attempt.ended is not None
    assert len(service.submits) == 1


async def test_a_crashed_workers_submit_of_an_idempotent_model_is_repeated() -> None:
    """After the same crash an idempotent model gets a second attempt, which completes."""
    service = ScriptedService(submit=[asyncio.CancelledError(), TEXT], idempotent=True)
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    with pytest.raises(asyncio.CancelledError):
        await execution_fixture.step(task_id)

    execution_fixture.later(LEASE_S + 10.0)
    await execution_fixture.reconciler.reconcile()
    await execution_fixture.play()

    assert (await execution_fixture.task(task_id)).state is State.COMPLETED
    assert len(service.submits) == 2


async def test_a_step_that_breaks_off_does_not_keep_its_lease() -> None:
    """A worker renews only the leases of running steps, so a task whose step broke off is taken up again."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[asyncio.CancelledError()]))
    task_id = await execution_fixture.new_task()
    with pytest.raises(asyncio.CancelledError):
        await execution_fixture.step(task_id)
    until = (await execution_fixture.task(task_id)).wake_at

    execution_fixture.later(10.0)
    await execution_fixture.reconciler.renew()

    assert (await execution_fixture.task(task_id)).wake_at == until


async def test_a_running_submit_keeps_its_lease() -> None:
    """The lease of a submit that takes longer than a lease is renewed and does not expire."""

    async def long() -> Done:
        for _ in range(10):
            execution_fixture.later(LEASE_S / 3)
            await execution_fixture.reconciler.renew()
            await execution_fixture.step(task_id)
        return TEXT

    service = ScriptedService(submit=[long])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()

    await execution_fixture.play_due()

    assert (await execution_fixture.task(task_id)).state is State.COMPLETED
    assert len(service.submits) == 1


async def test_a_worker_that_lost_its_lease_cannot_write() -> None:
    """The write of a worker whose lease has expired is refused."""

    async def lost() -> Done:
        execution_fixture.later(LEASE_S + 1.0)
        await execution_fixture.worker()(task_id)
        return TEXT

    service = ScriptedService(submit=[lost])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()

    await execution_fixture.play_due()

    task = await execution_fixture.task(task_id)
    assert (task.state, task.failure and task.failure.code) == (State.FAILED, "outcome_unknown")
    assert len(service.submits) == 1


async def test_nothing_is_sent_while_the_database_is_unavailable() -> None:
    """A step that cannot read the task raises, and the vendor is not called."""
    service = ScriptedService(submit=[TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    execution_fixture.tasks.reachable = False

    with pytest.raises(StoreUnavailable):
        await execution_fixture.step(task_id)

    assert service.submits == []


async def test_nothing_is_submitted_that_is_not_stored() -> None:
    """An attempt that could not be saved is not submitted; the next wake submits the task."""
    service = ScriptedService(submit=[TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    execution_fixture.tasks.faults = ["lost"]

    with pytest.raises(StoreUnavailable):
        await execution_fixture.step(task_id)
    assert service.submits == []

    await execution_fixture.step(task_id)
    assert len(service.submits) == 1
    assert (await execution_fixture.task(task_id)).state is State.COMPLETED


async def test_a_claim_with_a_lost_response_is_used() -> None:
    """A claim that was saved although it was reported as failed is found, and the step continues."""
    service = ScriptedService(submit=[TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    execution_fixture.tasks.faults = ["unanswered"]

    await execution_fixture.step(task_id)

    assert (await execution_fixture.task(task_id)).state is State.COMPLETED
    assert len(service.submits) == 1


async def test_two_workers_with_one_lost_response_submit_once() -> None:
    """A step whose claim was lost does not treat the claim of another step as its own, even in the same process."""
    service = ScriptedService(submit=[TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    execution_fixture.tasks.faults = ["lost"]

    await asyncio.gather(execution_fixture.step(task_id), execution_fixture.step(task_id), return_exceptions=True)

    assert len(service.submits) == 1
    assert (await execution_fixture.task(task_id)).state is State.COMPLETED


@pytest.mark.parametrize("fault", ["lost", "unanswered"])
async def test_an_outcome_is_saved_when_the_database_is_available_again(fault: str) -> None:
    """The vendor's response is saved once MongoDB is available again, with one submit and a queued wake."""
    service = ScriptedService(submit=[pending()])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    execution_fixture.tasks.faults = [None, fault, "lost"]

    await execution_fixture.step(task_id)

    task = await execution_fixture.task(task_id)
    assert (task.state, task.attempt.operation) == (State.WAITING, "op-1")
    assert execution_fixture.queue.next_at() is not None
    assert len(service.submits) == 1


async def test_an_outcome_is_kept_during_an_outage() -> None:
    """The step keeps the vendor's response while every call to MongoDB fails, and saves it afterwards."""

    async def accepted() -> Pending:
        execution_fixture.tasks.reachable = False
        return pending()

    service = ScriptedService(submit=[accepted])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    step = asyncio.create_task(execution_fixture.step(task_id))
    await execution_fixture.tasks.on_refusal.wait()
    execution_fixture.tasks.reachable = True

    await step

    assert (await execution_fixture.task(task_id)).attempt.operation == "op-1"
    assert len(service.submits) == 1


async def test_an_outcome_is_saved_without_the_queue() -> None:
    """The outcome is saved although its wake cannot be queued; the reconciler sends the wake when it is overdue."""
    service = ScriptedService(submit=[pending()], poll=[TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    execution_fixture.queue.take_due(execution_fixture.now)
    execution_fixture.queue.reachable = False
    await execution_fixture.step(task_id)
    assert (await execution_fixture.task(task_id)).state is State.WAITING

    execution_fixture.queue.reachable = True
    execution_fixture.later(60.0)
    assert await execution_fixture.reconciler.reconcile() == 1
    await execution_fixture.play_due()

    assert (await execution_fixture.task(task_id)).state is State.COMPLETED
    assert len(service.submits) == 1


async def test_an_early_wake_does_nothing() -> None:
    """A wake long before the task's `wake_at` submits nothing."""
    service = ScriptedService(submit=[Overloaded("full", retry_after_s=60.0), TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    await execution_fixture.play_due()

    for _ in range(5):
        execution_fixture.later(10.0)
        await execution_fixture.step(task_id)

    assert len(service.submits) == 1


async def test_a_wake_of_a_final_task_does_nothing() -> None:
    """A wake of a completed task, or of a deleted one, does nothing."""
    service = ScriptedService(submit=[TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    await execution_fixture.play_due()

    await execution_fixture.step(task_id)
    await execution_fixture.tasks.delete(await execution_fixture.task(task_id))
    await execution_fixture.step(task_id)

    assert len(service.submits) == 1


@pytest.mark.parametrize("served", ["nothing", "another model", "disabled"])
async def test_a_task_that_is_not_served_here_is_left_to_others(served: str) -> None:
    """A worker without the provider, the model or its credentials leaves a task to others until its deadline."""
    script = ScriptedService(submit=[TEXT])
    execution_fixture = ExecutionFixture(
        Disabled(models=script.models, reason="KEY is not set") if served == "disabled" else None
    )
    if served == "another model":
        execution_fixture = ExecutionFixture(script)
    task_id = await execution_fixture.new_task(
        deadline_s=100.0, model="pen-2" if served == "another model" else "pen-1"
    )

    await execution_fixture.play_due()
    assert (await execution_fixture.task(task_id)).state is State.PENDING

    execution_fixture.later(100.0)
    await execution_fixture.reconciler.reconcile()
    await execution_fixture.play_due()
    task = await execution_fixture.task(task_id)
    assert (task.state, task.failure and task.failure.code) == (State.FAILED, "deadline_exceeded")
    assert script.submits == []


async def test_input_that_does_not_fit_this_version_is_left_to_other_workers() -> None:
    """An input that does not fit this version's model is not submitted here, and the task fails at its deadline."""
    service = ScriptedService(submit=[TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task(task_input={"prompt": 7}, deadline_s=60.0)

    await execution_fixture.play_due()
    assert (await execution_fixture.task(task_id)).state is State.PENDING

    execution_fixture.later(60.0)
    await execution_fixture.step(task_id)
    task = await execution_fixture.task(task_id)
    assert (task.state, task.failure and task.failure.code) == (State.FAILED, "deadline_exceeded")
    assert service.submits == []


async def test_a_pending_task_past_its_deadline_is_not_submitted() -> None:
    """A task whose deadline passed while it waited for a worker fails without a submit."""
    service = ScriptedService(submit=[TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task(deadline_s=10.0)
    execution_fixture.later(10.0)

    await execution_fixture.play_due()

    task = await execution_fixture.task(task_id)
    assert (task.state, task.failure and task.failure.code) == (State.FAILED, "deadline_exceeded")
    assert service.submits == []


async def test_a_submit_without_a_response_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the provider does not respond by the deadline, the task fails with `outcome_unknown`."""
    monkeypatch.setattr("services.execution.plugin_calls.LAST_RESPONSE_S", 0.0)
    service = ScriptedService(submit=[lambda: asyncio.Event().wait()])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task(deadline_s=0.02)

    await execution_fixture.play_due()

    task = await execution_fixture.task(task_id)
    assert (task.state, task.failure and task.failure.code) == (State.FAILED, "outcome_unknown")
