"""Calls to vendors on the audit log."""

import asyncio
from typing import Any

import pytest

from core.audit import Action, AuditRow, Outcome
from core.errors import AuditFailed, StoreUnavailable
from core.task_states import State
from polyrelay import (
    Done,
    GenerationFailed,
    OutcomeUnknown,
    Overloaded,
    Pending,
    ProviderError,
    Rejected,
    TextOutput,
    Unavailable,
)
from tests.unit.services.execution_fixture import TEXT, ExecutionFixture, ScriptedService
from tests.unit.services.use_case_fixture import UseCaseFixture

ACCEPTED = Pending(operation="op-1", request_id="u-1")


def rows(execution_fixture: ExecutionFixture, action: Action) -> list[AuditRow]:
    """The rows of that action, oldest first."""
    return [row for row in execution_fixture.tasks.audit.rows if row.action is action]


async def test_a_submit_leaves_a_row() -> None:
    """The row has the key, the provider, the params, the outcome, the duration and the vendor's request id."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[ACCEPTED], poll=[TEXT]))
    task_id = await execution_fixture.new_task(
        owner="ada", key_id="k1", task_input={"prompt": "a cat, sk-abcdefgh12345678"}
    )
    await execution_fixture.play_due()

    (row,) = rows(execution_fixture, Action.UPSTREAM_SUBMIT)
    assert (row.target, row.owner, row.key_id, row.source) == (task_id, "ada", "k1", "worker-1")
    assert (row.provider, row.model) == ("studio", "pen-1")
    assert row.detail == {"attempt": 1, "params": {"prompt": "a cat, sk-***"}}
    assert (row.outcome, row.upstream_request_id) == (Outcome.DONE, "u-1")
    assert row.duration_ms is not None


async def test_the_row_is_written_before_the_vendor_is_called() -> None:
    """The row says `begun`, and stays so if the worker crashes during the call."""
    seen: list[AuditRow] = []
    execution_fixture = ExecutionFixture()

    def look() -> Pending:
        seen.extend(rows(execution_fixture, Action.UPSTREAM_SUBMIT))
        return ACCEPTED

    execution_fixture = ExecutionFixture(ScriptedService(submit=[look]))
    await execution_fixture.new_task()
    await execution_fixture.play_due()

    assert [row.outcome for row in seen] == [Outcome.BEGUN]


async def test_a_worker_that_is_stopped_leaves_the_row_begun() -> None:
    """The outcome of the call is not known."""
    asked = asyncio.Event()

    async def hang() -> Pending:
        asked.set()
        await asyncio.Event().wait()
        return ACCEPTED

    execution_fixture = ExecutionFixture(ScriptedService(submit=[hang]))
    await execution_fixture.new_task()
    step = asyncio.create_task(execution_fixture.play_due())
    await asked.wait()
    step.cancel()
    await asyncio.wait([step])

    assert [row.outcome for row in rows(execution_fixture, Action.UPSTREAM_SUBMIT)] == [Outcome.BEGUN]


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (Unavailable("away"), Outcome.REFUSED, "provider_unavailable"),
        (Overloaded("full", http_status=429, request_id="u-9"), Outcome.REFUSED, "overloaded"),
        (Rejected("no", http_status=400, request_id="u-9"), Outcome.REFUSED, "invalid_input"),
        (GenerationFailed("broken", request_id="u-9"), Outcome.FAILED, "generation_failed"),
        (OutcomeUnknown("cut", http_status=502), Outcome.FAILED, "outcome_unknown"),
    ],
)
async def test_the_row_of_a_failed_submit_has_the_error(error: ProviderError, outcome: Outcome, code: str) -> None:
    """The row says `refused` if it is certain that the vendor began nothing, with the vendor's status and id."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[error]))
    await execution_fixture.new_task()
    await execution_fixture.play_due()

    (row,) = rows(execution_fixture, Action.UPSTREAM_SUBMIT)
    assert (row.outcome, row.error) == (outcome, code)
    assert (row.status, row.upstream_request_id) == (error.http_status, error.request_id)


@pytest.mark.parametrize("fault", ["refused", "away"])
async def test_nothing_is_submitted_without_an_audit_row(fault: str) -> None:
    """The step raises; the task stays pending without an attempt, and is submitted once rows can be written."""
    service = ScriptedService(submit=[ACCEPTED], poll=[TEXT])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    execution_fixture.tasks.audit.works, execution_fixture.tasks.audit.reachable = fault != "refused", fault != "away"

    for _ in range(3):
        with pytest.raises((AuditFailed, StoreUnavailable)):
            await execution_fixture.step(task_id)
    task = await execution_fixture.tasks.get(task_id)
    assert (service.submits, task.state, task.attempts) == ([], State.PENDING, ())

    execution_fixture.tasks.audit.works = execution_fixture.tasks.audit.reachable = True
    await execution_fixture.step(task_id)
    assert len(service.submits) == 1
    assert (await execution_fixture.tasks.get(task_id)).attempt.number == 1


async def test_a_claim_that_is_lost_to_another_worker_is_reported() -> None:
    """The row says that no call was made; the other worker writes a row of its own."""
    service = ScriptedService(submit=[ACCEPTED])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    await asyncio.gather(execution_fixture.step(task_id), execution_fixture.worker()(task_id))

    reported = {(row.outcome, row.error) for row in rows(execution_fixture, Action.UPSTREAM_SUBMIT)}
    assert len(service.submits) == 1
    assert reported == {(Outcome.DONE, None), (Outcome.REFUSED, "conflict")} or reported == {(Outcome.DONE, None)}


async def test_a_claim_that_cannot_be_saved_is_reported() -> None:
    """The row says that no call was made, and nothing was submitted."""
    service = ScriptedService(submit=[ACCEPTED])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    execution_fixture.tasks.faults = ["lost"]

    with pytest.raises(StoreUnavailable):
        await execution_fixture.step(task_id)
    (row,) = rows(execution_fixture, Action.UPSTREAM_SUBMIT)
    assert (service.submits, row.outcome, row.error) == ([], Outcome.REFUSED, "store_unavailable")


async def test_only_a_poll_that_reports_something_leaves_a_row() -> None:
    """A poll without news leaves no row; an error and the end of an attempt leave one."""
    done = Done(outputs=(TextOutput(text="x"),), request_id="u-7")
    polls: list[Any] = [
        Pending(operation="op-1"),
        Unavailable("away", http_status=503),
        Pending(operation="op-1"),
        done,
    ]
    execution_fixture = ExecutionFixture(ScriptedService(submit=[ACCEPTED], poll=polls))
    task_id = await execution_fixture.new_task()
    await execution_fixture.play()

    reported = [(row.target, row.outcome, row.error) for row in rows(execution_fixture, Action.UPSTREAM_POLL)]
    assert reported == [(task_id, Outcome.REFUSED, "provider_unavailable"), (task_id, Outcome.DONE, None)]
    assert rows(execution_fixture, Action.UPSTREAM_POLL)[-1].upstream_request_id == "u-7"


async def test_an_unavailable_audit_log_costs_no_outcome() -> None:
    """The outcome of a poll is saved even if the audit log is unavailable: a poll changes nothing at the vendor."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[ACCEPTED], poll=[TEXT]))
    task_id = await execution_fixture.new_task()
    await execution_fixture.play_due()
    execution_fixture.tasks.audit.works = execution_fixture.tasks.audit.reachable = False
    await execution_fixture.play()

    assert (await execution_fixture.tasks.get(task_id)).state is State.COMPLETED


async def test_a_cancel_at_the_vendor_leaves_a_row() -> None:
    """A worker's cancel and the API's, for a deleted task, are both on the audit log before the vendor is called."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored(state=State.WAITING)
    await use_case_fixture.delete(task.id)

    (row,) = use_case_fixture.tasks.audit.rows
    assert (row.action, row.target, row.source) == (Action.UPSTREAM_CANCEL, task.id, "api")
    assert (row.outcome, row.detail) == (Outcome.DONE, {"attempt": 1})


async def test_a_vendor_that_does_not_stop_is_reported() -> None:
    """With its reason."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored(state=State.WAITING)
    use_case_fixture.first.refusal = Rejected("too late", http_status=409, request_id="u-3")
    await use_case_fixture.delete(task.id)

    (row,) = use_case_fixture.tasks.audit.rows
    assert (row.outcome, row.error, row.status) == (Outcome.REFUSED, "invalid_input", 409)
    assert row.upstream_request_id == "u-3"


async def test_a_vendor_is_not_asked_to_stop_without_an_audit_row() -> None:
    """If the row cannot be written the delete fails, the vendor is not called, and the delete can be repeated."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored(state=State.WAITING)
    use_case_fixture.tasks.audit.works = False

    with pytest.raises(AuditFailed):
        await use_case_fixture.delete(task.id)
    assert use_case_fixture.first.stops == []
    use_case_fixture.tasks.audit.works = True
    await use_case_fixture.delete(task.id)
    assert len(use_case_fixture.first.stops) == 1


async def test_invalid_facts_of_a_plugin_are_left_out() -> None:
    """A request id that is no text and a status that is no HTTP status are left out; a long id is cut."""

    def odd() -> Pending:
        return Pending(operation="op-1", request_id=["x"])  # type: ignore[arg-type]

    execution_fixture = ExecutionFixture(ScriptedService(submit=[odd]))
    await execution_fixture.new_task()
    await execution_fixture.play_due()

    (row,) = rows(execution_fixture, Action.UPSTREAM_SUBMIT)
    assert (row.outcome, row.upstream_request_id) == (Outcome.DONE, None)
