"""Faults of the audit log: an action is done only if MongoDB stores its row, and works again once rows are stored."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from core.audit import Action, AuditRow, Outcome
from core.task_states import State
from repositories.mongodb.audit import AUDIT_COLLECTION, row_of
from tests.faults.stack_fixture import IMAGE, VIDEO, RunningStack


@contextmanager
def refused(running: RunningStack, *actions: Action) -> Iterator[None]:
    """MongoDB refuses audit rows of those actions during the block."""
    rule = {"action": {"$nin": [action.value for action in actions]}}
    set_rule(running, rule)
    try:
        yield
    finally:
        set_rule(running, {})


def set_rule(running: RunningStack, rule: dict[str, Any]) -> None:
    """Set the validator of the audit log's collection."""
    running.documents.database.command("collMod", AUDIT_COLLECTION, validator=rule)


def rows(running: RunningStack, **wanted: str) -> list[AuditRow]:
    """The audit rows with those values, oldest first."""
    return [row_of(document) for document in running.documents.database[AUDIT_COLLECTION].find(wanted).sort("_id")]


@pytest.mark.parametrize("kind", [IMAGE, VIDEO], ids=["image", "video"])
def test_a_create_without_a_stored_audit_row_is_not_done(running: RunningStack, kind: dict[str, str]) -> None:
    """Each create answers 500 AUDIT_FAILED; no task is stored and the vendor is not called."""
    with refused(running, Action.TASK_CREATE):
        answers = [running.post(f"refused {number}", kind=kind) for number in range(3)]

    assert {answer.status_code for answer in answers} == {500}
    assert {answer.json()["error"]["code"] for answer in answers} == {"AUDIT_FAILED"}
    assert running.tasks() == []
    assert running.wait_for_end([running.create("created", kind=kind)])[0].state is State.COMPLETED
    assert set(running.stats().prompts) == {"created"}


def test_of_concurrent_creates_only_those_with_a_stored_audit_row_are_done(running: RunningStack) -> None:
    """Creates share a write to the audit log; a refused row does not affect the other creates."""
    prompts = [f"{'odd' if number % 2 else 'even'} {number}" for number in range(40)]
    set_rule(running, {"detail": {"$not": {"$regex": "odd"}}})
    try:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(running.post, prompts))
    finally:
        set_rule(running, {})

    assert [answer.status_code for answer in answers] == [500 if "odd" in prompt else 201 for prompt in prompts]
    running.wait_for_end([answer.json()["data"]["task_id"] for answer in answers if answer.status_code == 201])
    assert set(running.stats().prompts) == {prompt for prompt in prompts if "even" in prompt}


def test_a_submit_without_a_stored_audit_row_is_not_made(running: RunningStack) -> None:
    """The task stays pending without an attempt, and is submitted once when rows are stored again."""
    with refused(running, Action.UPSTREAM_SUBMIT):
        task_ids = [running.create("postponed 1"), running.create("postponed 2", kind=VIDEO)]
        running.wait_until(
            lambda: (
                "step_postponed" in "".join(running.process(name).last_lines(200) for name in running.stack.workers)
            ),
            description="a worker postponed the step",
        )
        tasks = [running.task(task_id) for task_id in task_ids]
        assert {task.state for task in tasks} == {State.PENDING}
        assert [task.attempts for task in tasks] == [(), ()]
        assert running.stats().prompts == {}

    ended = running.wait_for_end(task_ids)
    assert {(task.state, len(task.attempts)) for task in ended} == {(State.COMPLETED, 1)}
    assert {(count.received, count.accepted) for count in running.stats().prompts.values()} == {(1, 1)}


def test_a_cancel_without_a_stored_audit_row_is_not_done(running: RunningStack) -> None:
    """The cancel answers 500 AUDIT_FAILED, and the task completes."""
    with refused(running, Action.TASK_CANCEL):
        task_id = running.create("not cancelled", kind=VIDEO)
        answer = httpx.post(f"{running.stack.api_url}/api/v1/ai/task/{task_id}/cancel", trust_env=False)

    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "AUDIT_FAILED")
    assert running.wait_for_end([task_id])[0].state is State.COMPLETED


def test_the_audit_log_has_a_row_for_each_action_on_a_task(running: RunningStack) -> None:
    """Create, submit, last poll and delete have a row each, with the vendor's request id and the outcome."""
    task_id = running.create("audited", kind=VIDEO)
    running.wait_for_end([task_id])
    running.client.delete(task_id)

    def ended() -> list[AuditRow]:
        found = rows(running, target=task_id)
        return found if all(row.outcome is not Outcome.BEGUN for row in found) and len(found) == 4 else []

    found = running.wait_until(ended, description="all rows have an outcome")
    assert [row.action for row in found] == ["task.create", "upstream.submit", "upstream.poll", "task.delete"]
    assert {row.outcome for row in found} == {Outcome.DONE}
    assert all(row.duration_ms is not None and row.source for row in found)
    assert all(row.upstream_request_id for row in found[1:3])
    assert all(row.request_id for row in (found[0], found[3]))
