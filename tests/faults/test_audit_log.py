"""MongoDB refuses rows of the audit log: nothing is done that is not on record, and all goes on when it takes them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from core.audit import Action, AuditRow, Outcome
from core.task_states import State
from repositories.mongodb.audit_documents import AUDIT_COLLECTION, row_of
from tests.faults.stack_fixture import IMAGE, VIDEO, Scene


@contextmanager
def refused(scene: Scene, *actions: Action) -> Iterator[None]:
    """MongoDB takes no row of those actions while the block runs."""
    rule = {"action": {"$nin": [action.value for action in actions]}}
    set_rule(scene, rule)
    try:
        yield
    finally:
        set_rule(scene, {})


def set_rule(scene: Scene, rule: dict[str, Any]) -> None:
    """What MongoDB asks of a row."""
    scene.documents.database.command("collMod", AUDIT_COLLECTION, validator=rule)


def rows(scene: Scene, **wanted: str) -> list[AuditRow]:
    """Rows with those values, oldest first."""
    return [row_of(document) for document in scene.documents.database[AUDIT_COLLECTION].find(wanted).sort("_id")]


@pytest.mark.parametrize("kind", [IMAGE, VIDEO], ids=["image", "video"])
def test_a_create_that_is_not_on_record_reaches_nobody(scene: Scene, kind: dict[str, str]) -> None:
    """500 AUDIT_FAILED, again and again; no task is stored, nobody is woken, and the vendor was never called."""
    with refused(scene, Action.TASK_CREATE):
        answers = [scene.post(f"unheard {number}", kind=kind) for number in range(3)]

    assert {answer.status_code for answer in answers} == {500}
    assert {answer.json()["error"]["code"] for answer in answers} == {"AUDIT_FAILED"}
    assert scene.tasks() == []
    assert scene.wait_for_end([scene.create("heard", kind=kind)])[0].state is State.COMPLETED
    assert set(scene.stats().prompts) == {"heard"}


def test_of_creates_at_once_only_those_on_record_are_done(scene: Scene) -> None:
    """Creates share a write; what is refused to one costs the others nothing."""
    prompts = [f"{'odd' if number % 2 else 'even'} {number}" for number in range(40)]
    set_rule(scene, {"detail": {"$not": {"$regex": "odd"}}})
    try:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(scene.post, prompts))
    finally:
        set_rule(scene, {})

    assert [answer.status_code for answer in answers] == [500 if "odd" in prompt else 201 for prompt in prompts]
    scene.wait_for_end([answer.json()["data"]["task_id"] for answer in answers if answer.status_code == 201])
    assert set(scene.stats().prompts) == {prompt for prompt in prompts if "even" in prompt}


def test_a_submit_that_is_not_on_record_is_not_made(scene: Scene) -> None:
    """The task stays pending without an attempt, and is submitted once, by itself, when rows are taken again."""
    with refused(scene, Action.UPSTREAM_SUBMIT):
        task_ids = [scene.create("waits 1"), scene.create("waits 2", kind=VIDEO)]
        scene.wait_until(
            lambda: "step_postponed" in "".join(scene.process(name).last_lines(200) for name in scene.stack.workers),
            description="a worker has tried",
        )
        tasks = [scene.task(task_id) for task_id in task_ids]
        assert {task.state for task in tasks} == {State.PENDING}
        assert [task.attempts for task in tasks] == [(), ()]
        assert scene.stats().prompts == {}

    ended = scene.wait_for_end(task_ids)
    assert {(task.state, len(task.attempts)) for task in ended} == {(State.COMPLETED, 1)}
    assert {(count.received, count.accepted) for count in scene.stats().prompts.values()} == {(1, 1)}


def test_a_cancel_that_is_not_on_record_does_not_happen(scene: Scene) -> None:
    """500 AUDIT_FAILED, and the task goes on to its end."""
    with refused(scene, Action.TASK_CANCEL):
        task_id = scene.create("goes on", kind=VIDEO)
        answer = httpx.post(f"{scene.stack.api_url}/api/v1/ai/task/{task_id}/cancel", trust_env=False)

    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "AUDIT_FAILED")
    assert scene.wait_for_end([task_id])[0].state is State.COMPLETED


def test_what_happened_to_a_task_can_be_reported(scene: Scene) -> None:
    """Created, submitted, polled to its end, removed: a row each, with the vendor's ids and what became of it."""
    task_id = scene.create("told", kind=VIDEO)
    scene.wait_for_end([task_id])
    scene.client.delete(task_id)

    def ended() -> list[AuditRow]:
        found = rows(scene, target=task_id)
        return found if all(row.outcome is not Outcome.BEGUN for row in found) and len(found) == 4 else []

    found = scene.wait_until(ended, description="all rows have their ends")
    assert [row.action for row in found] == ["task.create", "upstream.submit", "upstream.poll", "task.delete"]
    assert {row.outcome for row in found} == {Outcome.DONE}
    assert all(row.duration_ms is not None and row.source for row in found)
    assert all(row.upstream_request_id for row in found[1:3])
    assert all(row.request_id for row in (found[0], found[3]))
