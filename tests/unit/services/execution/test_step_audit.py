"""Calls to vendors on the audit log."""

import asyncio
from typing import Any

import pytest

from core.audit import Action, AuditRow, Outcome
from core.errors import AuditFailed, StoreUnavailable
from core.tasks import State
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
from tests.unit.services.execution_fixture import TEXT, ScriptedService, Stage
from tests.unit.services.use_case_fixture import Desk

ACCEPTED = Pending(operation="op-1", request_id="u-1")


def rows(stage: Stage, action: Action) -> list[AuditRow]:
    """The rows of that action, oldest first."""
    return [row for row in stage.tasks.audit.rows if row.action is action]


async def test_a_submit_leaves_a_row() -> None:
    """Whom it is for, who was asked, with what; what came of it, how long it took, and the vendor's id."""
    stage = Stage(ScriptedService(submit=[ACCEPTED], poll=[TEXT]))
    task_id = await stage.new_task(owner="ada", key_id="k1", task_input={"prompt": "a cat, sk-abcdefgh12345678"})
    await stage.play_due()

    (row,) = rows(stage, Action.UPSTREAM_SUBMIT)
    assert (row.target, row.owner, row.key_id, row.source) == (task_id, "ada", "k1", "worker-1")
    assert (row.provider, row.model) == ("studio", "pen-1")
    assert row.detail == {"attempt": 1, "params": {"prompt": "a cat, sk-***"}}
    assert (row.outcome, row.upstream_request_id) == (Outcome.DONE, "u-1")
    assert row.duration_ms is not None


async def test_the_row_is_there_before_the_vendor_is_asked() -> None:
    """It says that the call was begun, and stays so where nobody lives to tell more."""
    seen: list[AuditRow] = []
    stage = Stage()

    def look() -> Pending:
        seen.extend(rows(stage, Action.UPSTREAM_SUBMIT))
        return ACCEPTED

    stage = Stage(ScriptedService(submit=[look]))
    await stage.new_task()
    await stage.play_due()

    assert [row.outcome for row in seen] == [Outcome.BEGUN]


async def test_a_worker_that_is_stopped_leaves_the_row_begun() -> None:
    """What came of it is not known."""
    asked = asyncio.Event()

    async def hang() -> Pending:
        asked.set()
        await asyncio.Event().wait()
        return ACCEPTED

    stage = Stage(ScriptedService(submit=[hang]))
    await stage.new_task()
    step = asyncio.create_task(stage.play_due())
    await asked.wait()
    step.cancel()
    await asyncio.wait([step])

    assert [row.outcome for row in rows(stage, Action.UPSTREAM_SUBMIT)] == [Outcome.BEGUN]


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
async def test_a_submit_that_goes_wrong_says_how(error: ProviderError, outcome: Outcome, code: str) -> None:
    """Refused where it is certain that nothing was begun; with the vendor's status and id."""
    stage = Stage(ScriptedService(submit=[error]))
    await stage.new_task()
    await stage.play_due()

    (row,) = rows(stage, Action.UPSTREAM_SUBMIT)
    assert (row.outcome, row.error) == (outcome, code)
    assert (row.status, row.upstream_request_id) == (error.http_status, error.request_id)


@pytest.mark.parametrize("fault", ["refused", "away"])
async def test_nothing_is_submitted_that_is_not_on_record(fault: str) -> None:
    """The step is to be tried again; the task is pending, nothing is burnt, and goes on once rows are taken."""
    service = ScriptedService(submit=[ACCEPTED], poll=[TEXT])
    stage = Stage(service)
    task_id = await stage.new_task()
    stage.tasks.audit.works, stage.tasks.audit.reachable = fault != "refused", fault != "away"

    for _ in range(3):
        with pytest.raises((AuditFailed, StoreUnavailable)):
            await stage.advance(task_id)
    task = await stage.tasks.get(task_id)
    assert (service.submits, task.state, task.attempts) == ([], State.PENDING, ())

    stage.tasks.audit.works = stage.tasks.audit.reachable = True
    await stage.advance(task_id)
    assert len(service.submits) == 1
    assert (await stage.tasks.get(task_id)).attempt.number == 1


async def test_a_claim_that_is_lost_to_another_worker_is_told() -> None:
    """The row does not say that a call was made which was not: the other worker has its own."""
    service = ScriptedService(submit=[ACCEPTED])
    stage = Stage(service)
    task_id = await stage.new_task()
    await asyncio.gather(stage.advance(task_id), stage.worker()(task_id))

    told = {(row.outcome, row.error) for row in rows(stage, Action.UPSTREAM_SUBMIT)}
    assert len(service.submits) == 1
    assert told == {(Outcome.DONE, None), (Outcome.REFUSED, "conflict")} or told == {(Outcome.DONE, None)}


async def test_a_claim_that_cannot_be_saved_is_told() -> None:
    """Nothing was submitted."""
    service = ScriptedService(submit=[ACCEPTED])
    stage = Stage(service)
    task_id = await stage.new_task()
    stage.tasks.faults = ["lost"]

    with pytest.raises(StoreUnavailable):
        await stage.advance(task_id)
    (row,) = rows(stage, Action.UPSTREAM_SUBMIT)
    assert (service.submits, row.outcome, row.error) == ([], Outcome.REFUSED, "store_unavailable")


async def test_only_a_poll_that_tells_something_leaves_a_row() -> None:
    """ "Not yet" leaves none; what went wrong and what ended the attempt do."""
    done = Done(outputs=(TextOutput(text="x"),), request_id="u-7")
    polls: list[Any] = [
        Pending(operation="op-1"),
        Unavailable("away", http_status=503),
        Pending(operation="op-1"),
        done,
    ]
    stage = Stage(ScriptedService(submit=[ACCEPTED], poll=polls))
    task_id = await stage.new_task()
    await stage.play()

    told = [(row.target, row.outcome, row.error) for row in rows(stage, Action.UPSTREAM_POLL)]
    assert told == [(task_id, Outcome.REFUSED, "provider_unavailable"), (task_id, Outcome.DONE, None)]
    assert rows(stage, Action.UPSTREAM_POLL)[-1].upstream_request_id == "u-7"


async def test_a_log_that_is_away_costs_no_outcome() -> None:
    """What a vendor made is taken whatever the log does: asking for it changes nothing there."""
    stage = Stage(ScriptedService(submit=[ACCEPTED], poll=[TEXT]))
    task_id = await stage.new_task()
    await stage.play_due()
    stage.tasks.audit.works = stage.tasks.audit.reachable = False
    await stage.play()

    assert (await stage.tasks.get(task_id)).state is State.COMPLETED


async def test_a_vendor_is_asked_to_stop_on_record() -> None:
    """Also where the server's API asks, because the task is removed."""
    desk = Desk()
    task = await desk.stored(state=State.WAITING)
    await desk.remove(task.id)

    (row,) = desk.tasks.audit.rows
    assert (row.action, row.target, row.source) == (Action.UPSTREAM_CANCEL, task.id, "api")
    assert (row.outcome, row.detail) == (Outcome.DONE, {"attempt": 1})


async def test_a_vendor_that_does_not_stop_is_told() -> None:
    """With its reason."""
    desk = Desk()
    task = await desk.stored(state=State.WAITING)
    desk.first.refusal = Rejected("too late", http_status=409, request_id="u-3")
    await desk.remove(task.id)

    (row,) = desk.tasks.audit.rows
    assert (row.outcome, row.error, row.status) == (Outcome.REFUSED, "invalid_input", 409)
    assert row.upstream_request_id == "u-3"


async def test_a_vendor_is_not_asked_to_stop_off_the_record() -> None:
    """The removal fails and can be repeated."""
    desk = Desk()
    task = await desk.stored(state=State.WAITING)
    desk.tasks.audit.works = False

    with pytest.raises(AuditFailed):
        await desk.remove(task.id)
    assert desk.first.stops == []
    desk.tasks.audit.works = True
    await desk.remove(task.id)
    assert len(desk.first.stops) == 1


async def test_odd_facts_of_a_plugin_harm_nothing() -> None:
    """What is no text and no status is left out, and what is long is cut."""

    def odd() -> Pending:
        return Pending(operation="op-1", request_id=["x"])  # type: ignore[arg-type]

    stage = Stage(ScriptedService(submit=[odd]))
    await stage.new_task()
    await stage.play_due()

    (row,) = rows(stage, Action.UPSTREAM_SUBMIT)
    assert (row.outcome, row.upstream_request_id) == (Outcome.DONE, None)
