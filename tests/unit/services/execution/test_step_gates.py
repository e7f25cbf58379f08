"""Steps and gates: wait queues, fallbacks, circuit breakers, cancellation and the gate reconciler."""

from typing import Any

from core.task_states import State
from core.tasks import Choice, Task
from polyrelay import (
    Done,
    GenerationFailed,
    ImageOutput,
    Job,
    Model,
    Outcome,
    OutcomeUnknown,
    Overloaded,
    Provider,
    RateLimited,
    Rejected,
    TaskType,
    Unavailable,
)
from services.limits.admission import GateLimits
from tests.unit.services.execution_fixture import TEXT, Drawn, ExecutionFixture, ScriptedService, pending

SECOND = (Choice(provider="second", model="pen-2"),)


class Vendor(ScriptedService):
    """A scripted service under another model name."""

    def __init__(self, name: str = "pen-2", **script: Any) -> None:
        super().__init__(**script)
        self.models = (Model(name=name, type=TaskType.IMAGE, params=Drawn, timeout_s=3600),)


class Stoppable(ScriptedService):
    """A service whose vendor can be asked to stop."""

    def __init__(self, *, refusal: Exception | None = None, **script: Any) -> None:
        super().__init__(**script)
        self.cancels: list[str] = []
        self._refusal = refusal

    async def cancel(self, _: Job[Any], operation: str) -> None:
        """Stop, or refuse."""
        self.cancels.append(operation)
        if self._refusal is not None:
            raise self._refusal


def fixture_with(first: ScriptedService, second: Vendor | None = None, **options: Any) -> ExecutionFixture:
    """A fixture with a first choice, and a second choice at another provider."""
    return ExecutionFixture(first, others=[] if second is None else [Provider("second", [second])], **options)


async def ended(execution_fixture: ExecutionFixture, task_id: str) -> tuple[State, str | None]:
    """The state of a task, and why it failed."""
    task = await execution_fixture.task(task_id)
    return task.state, task.failure.code if task.failure else None


async def test_a_full_gate_makes_tasks_wait_in_order_of_creation() -> None:
    """With one slot, three tasks are submitted one after the other, oldest first, and none fails."""
    service = ScriptedService(submit=[pending()], poll=[TEXT])
    execution_fixture = fixture_with(service, limits=GateLimits(models={"pen-1": 1}))
    task_ids = []
    for _ in range(3):
        task_ids.append(await execution_fixture.new_task())
        execution_fixture.later(0.01)

    for task_id in reversed(task_ids):
        await execution_fixture.step(task_id)
    assert [job.task_id for job in service.submits] == [task_ids[2]]  # it came first, the others stand in line

    await execution_fixture.play()
    assert [job.task_id for job in service.submits] == [task_ids[2], task_ids[0], task_ids[1]]
    assert {await ended(execution_fixture, task_id) for task_id in task_ids} == {(State.COMPLETED, None)}


async def test_a_task_in_queue_costs_no_attempt_and_no_write() -> None:
    """A task in a wait queue is not written."""
    service = ScriptedService(submit=[pending()], poll=[pending()])
    execution_fixture = fixture_with(service, limits=GateLimits(providers={"*": 1}))
    await execution_fixture.step(await execution_fixture.new_task())
    waiting = await execution_fixture.new_task()
    before = await execution_fixture.task(waiting)

    await execution_fixture.step(waiting)
    assert await execution_fixture.task(waiting) == before


async def test_a_task_in_queue_ends_by_its_deadline() -> None:
    """The reconciler does not wake tasks in a wait queue before their deadline."""
    service = ScriptedService(submit=[pending(poll_after_s=10_000)], poll=[pending()])
    execution_fixture = fixture_with(service, limits=GateLimits(models={"pen-1": 1}))
    await execution_fixture.step(await execution_fixture.new_task(deadline_s=50_000))
    late = await execution_fixture.new_task(deadline_s=60)
    await execution_fixture.step(late)
    execution_fixture.queue.take_due(execution_fixture.now)

    execution_fixture.later(30)
    assert await execution_fixture.reconciler.reconcile() == 0
    execution_fixture.later(31)
    assert await execution_fixture.reconciler.reconcile() == 1
    await execution_fixture.play_due()
    assert await ended(execution_fixture, late) == (State.FAILED, "deadline_exceeded")
    assert len(service.submits) == 1


async def test_a_gate_learns_from_throttled_submits() -> None:
    """Without a set limit, "too many at once" lowers it to the open submissions, and the refused task waits."""
    service = ScriptedService(
        submit=[pending(), pending(), Overloaded("too many", code="50430"), pending()], poll=[pending(), TEXT]
    )
    execution_fixture = fixture_with(service)
    for _ in range(3):
        await execution_fixture.step(await execution_fixture.new_task())

    views, _ = await execution_fixture.gates.views()
    assert [(view.name, view.limit) for view in views] == [("model:studio/pen-1", 2)]


async def test_a_fallback_serves_where_the_first_choice_did_not_accept() -> None:
    """A task that was certainly not accepted goes to the next choice at once, and its attempts name the providers."""
    first = ScriptedService(submit=[RateLimited("later", http_status=429)])
    second = Vendor(submit=[TEXT])
    execution_fixture = fixture_with(first, second)
    task_id = await execution_fixture.new_task(fallbacks=SECOND)

    await execution_fixture.play()
    task = await execution_fixture.task(task_id)
    assert task.state is State.COMPLETED
    assert [(attempt.provider, attempt.model) for attempt in task.attempts] == [
        ("studio", "pen-1"),
        ("second", "pen-2"),
    ]
    assert (len(first.submits), len(second.submits)) == (1, 1)
    assert second.submits[0].model == "pen-2"


async def test_a_fallback_is_never_asked_after_an_unknown_outcome() -> None:
    """The first choice may have accepted and billed the task, so no other choice is asked."""
    first, second = ScriptedService(submit=[OutcomeUnknown("cut")]), Vendor(submit=[TEXT])
    execution_fixture = fixture_with(first, second)
    task_id = await execution_fixture.new_task(fallbacks=SECOND)

    await execution_fixture.play()
    assert await ended(execution_fixture, task_id) == (State.FAILED, "outcome_unknown")
    assert second.submits == []


async def test_a_fallback_is_not_asked_for_what_the_vendor_refuses_for_good() -> None:
    """Input that the first choice rejects fails the task; rejected credentials lead to the fallback."""
    second = Vendor(submit=[TEXT])
    execution_fixture = fixture_with(ScriptedService(submit=[Rejected("bad", reason="content_blocked")]), second)
    blocked = await execution_fixture.new_task(fallbacks=SECOND)
    await execution_fixture.play()
    assert (await ended(execution_fixture, blocked), len(second.submits)) == ((State.FAILED, "content_blocked"), 0)

    execution_fixture = fixture_with(ScriptedService(submit=[Rejected("no key", reason="auth")]), second)
    unpaid = await execution_fixture.new_task(fallbacks=SECOND)
    await execution_fixture.play()
    assert (await ended(execution_fixture, unpaid), len(second.submits)) == ((State.COMPLETED, None), 1)


async def test_after_the_last_choice_the_first_is_asked_again() -> None:
    """If no choice accepts, the first choice is asked again after a pause."""
    first = ScriptedService(submit=[Unavailable("down"), TEXT])
    second = Vendor(submit=[Unavailable("down")])
    execution_fixture = fixture_with(first, second)
    task_id = await execution_fixture.new_task(fallbacks=SECOND)

    await execution_fixture.play()
    task = await execution_fixture.task(task_id)
    assert [attempt.provider for attempt in task.attempts] == ["studio", "second", "studio"]
    assert task.state is State.COMPLETED


async def test_a_retried_generation_stays_with_its_vendor() -> None:
    """A generation that failed after it was accepted is submitted again to the same choice."""
    first = ScriptedService(submit=[Unavailable("down")])
    second = Vendor(submit=[pending(), TEXT], poll=[GenerationFailed("risk", retryable=True)])
    execution_fixture = fixture_with(first, second)
    task_id = await execution_fixture.new_task(fallbacks=SECOND)

    await execution_fixture.play()
    assert [attempt.provider for attempt in (await execution_fixture.task(task_id)).attempts] == [
        "studio",
        "second",
        "second",
    ]


async def test_an_open_circuit_breaker_passes_tasks_to_the_fallback() -> None:
    """With an open circuit breaker nothing is submitted; tasks go to their fallback at once, or wait without one."""
    first = ScriptedService(submit=[Unavailable("down")])
    second = Vendor(submit=[TEXT])
    execution_fixture = fixture_with(first, second)
    for _ in range(5):
        await execution_fixture.step(await execution_fixture.new_task())
    asked = len(first.submits)

    with_fallback, without = await execution_fixture.new_task(fallbacks=SECOND), await execution_fixture.new_task()
    await execution_fixture.step(with_fallback)
    await execution_fixture.step(without)
    assert len(first.submits) == asked
    assert await ended(execution_fixture, with_fallback) == (State.COMPLETED, None)
    waiting = await execution_fixture.task(without)
    assert (waiting.state, len(waiting.attempts)) == (State.PENDING, 0)
    assert waiting.wake_at is not None
    assert waiting.wake_at > execution_fixture.now


async def after_cancellation_request(execution_fixture: ExecutionFixture, task_id: str) -> Task:
    """The task after a cancellation request and the step that follows."""
    await execution_fixture.tasks.request_cancel(task_id, at=execution_fixture.now)
    await execution_fixture.step(task_id)
    return await execution_fixture.task(task_id)


async def test_a_cancelled_operation_is_stopped_at_the_vendor() -> None:
    """The vendor of a waiting task is asked to stop, if it can be, before the next poll is due."""
    service = Stoppable(submit=[pending("op-7")], poll=[TEXT])
    execution_fixture = fixture_with(service)
    task_id = await execution_fixture.new_task()
    await execution_fixture.step(task_id)

    task = await after_cancellation_request(execution_fixture, task_id)
    assert (task.state, service.cancels) == (State.CANCELLED, ["op-7"])
    assert task.failure is not None
    assert "confirmed" in task.failure.message
    assert await execution_fixture.gates.holders() == []


async def test_a_vendor_that_does_not_stop_is_named_in_the_failure() -> None:
    """If the vendor does not stop, or cannot be asked to, the task is cancelled and says that it may be billed."""
    for service in (
        Stoppable(submit=[pending()], poll=[TEXT], refusal=Rejected("it runs")),
        ScriptedService(submit=[pending()], poll=[TEXT]),
    ):
        execution_fixture = fixture_with(service)
        task_id = await execution_fixture.new_task()
        await execution_fixture.step(task_id)
        task = await after_cancellation_request(execution_fixture, task_id)
        assert task.state is State.CANCELLED
        assert task.failure is not None
        assert "may still finish and bill" in task.failure.message


async def test_a_cancellation_request_during_the_submit_loses_no_operation() -> None:
    """A request that arrives during the submit does not break the step: the operation is saved, then stopped."""
    execution_fixture: ExecutionFixture

    async def cancellation_request() -> Outcome:
        await execution_fixture.tasks.request_cancel(task_id, at=execution_fixture.now)
        return pending("op-9")

    service = Stoppable(submit=[cancellation_request], poll=[TEXT])
    execution_fixture = fixture_with(service)
    task_id = await execution_fixture.new_task()
    await execution_fixture.step(task_id)
    assert (await execution_fixture.task(task_id)).attempt.operation == "op-9"

    await execution_fixture.step(task_id)
    assert ((await execution_fixture.task(task_id)).state, service.cancels) == (State.CANCELLED, ["op-9"])


async def test_reconciliation_restores_gates_after_all_of_redis_was_lost() -> None:
    """Tasks that are stored as submitted hold their gates again; a hold without a submitted task is ended."""
    service = ScriptedService(submit=[pending()], poll=[pending()])
    execution_fixture = fixture_with(service, limits=GateLimits(models={"pen-1": 1}))
    held = await execution_fixture.new_task()
    await execution_fixture.step(held)
    ticket = execution_fixture.admissions.ticket(
        await execution_fixture.task(held), execution_fixture.registry.route("studio", "pen-1")
    )

    await execution_fixture.gates.leave(ticket)
    await execution_fixture.gate_reconciler().reconcile()
    assert await execution_fixture.gates.holders() == [held]

    other = await execution_fixture.new_task()
    await execution_fixture.step(other)
    assert len(service.submits) == 1

    await after_cancellation_request(execution_fixture, held)
    await execution_fixture.gates.restore([ticket])
    gate_reconciler = execution_fixture.gate_reconciler()
    await gate_reconciler.reconcile()
    assert await execution_fixture.gates.holders() == [held]  # it may be about to be put on record
    await gate_reconciler.reconcile()
    assert await execution_fixture.gates.holders() == []


async def test_reconciliation_wakes_a_queued_task_whose_wake_was_lost() -> None:
    """The first task in the queue of a gate with a free slot is woken although its wake was lost."""
    service = ScriptedService(submit=[pending(), TEXT], poll=[pending()])
    execution_fixture = fixture_with(service, limits=GateLimits(models={"pen-1": 1}))
    held, waits = await execution_fixture.new_task(), await execution_fixture.new_task()
    await execution_fixture.step(held)
    await execution_fixture.step(waits)
    await after_cancellation_request(execution_fixture, held)
    execution_fixture.queue.wakes.clear()

    await execution_fixture.gate_reconciler().reconcile()
    assert waits in [wake.task_id for wake in execution_fixture.queue.wakes]


async def test_a_task_deleted_during_its_submit_is_stopped_at_the_vendor() -> None:
    """If a task is deleted during its submit, the vendor is asked to stop what it accepted."""
    execution_fixture: ExecutionFixture

    async def remove() -> Outcome:
        await execution_fixture.tasks.delete(await execution_fixture.task(task_id))
        return pending("op-8")

    service = Stoppable(submit=[remove])
    execution_fixture = fixture_with(service, limits=GateLimits(models={"pen-1": 1}))
    task_id = await execution_fixture.new_task()
    await execution_fixture.step(task_id)

    assert service.cancels == ["op-8"]
    assert await execution_fixture.gates.holders() == []


async def test_files_of_a_deleted_task_are_deleted() -> None:
    """If a task is deleted during its submit, the files of its result are deleted."""
    execution_fixture: ExecutionFixture

    async def remove() -> Outcome:
        await execution_fixture.tasks.delete(await execution_fixture.task(task_id))
        return Done(outputs=(ImageOutput(data=b"picture", media_type="image/png"),))

    execution_fixture = fixture_with(ScriptedService(submit=[remove]))
    task_id = await execution_fixture.new_task()
    await execution_fixture.step(task_id)

    assert execution_fixture.store.files == {}
