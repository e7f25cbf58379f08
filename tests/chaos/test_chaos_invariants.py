"""Tests of the invariants: each holds for valid evidence and fails for constructed violations."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from msgspec import structs

from core.attempts import Attempt, Failure
from core.task_states import State
from core.tasks import Lease, Result, Task
from polyrelay import TaskType
from tests.chaos.evidence import ClientCall, CreatedTask, Evidence, RedisKey, Submits, TimeLimits, Version
from tests.chaos.invariants import INVARIANTS, violations
from tests.chaos.outages import ProcessOutage, longest_uninterrupted_s, outages
from tests.chaos.report import explain

NOW: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RULES: Final = TimeLimits(grace_s=10.0)


def at(seconds: float) -> datetime:
    """The moment that many seconds after the start of the constructed run."""
    return NOW + timedelta(seconds=seconds)


def attempt(number: int, code: str | None = None, **fields: Any) -> Attempt:
    """An ended attempt; failed with `code` if it is given."""
    failure = Failure(code=code, message=code) if code else None
    values: dict[str, Any] = {"provider": "p", "model": "m", "started": at(number), "ended": at(number + 0.5), **fields}
    return Attempt(number=number, failure=failure, **values)


def history(*states: State, **fields: Any) -> Sequence[Version]:
    """The versions of a task that passes through those states, one a second; `fields` are set in the last one."""
    task = Task(
        id="task_1",
        type=TaskType.IMAGE,
        provider="p",
        model="m",
        user_id="u",
        prompt="one",
        created=at(0),
        updated=at(0),
        deadline=at(20),
    )
    versions = [
        Version(at=at(second), task=structs.replace(task, version=second + 1, state=state, updated=at(second)))
        for second, state in enumerate(states)
    ]
    last = versions[-1].task
    assert last is not None
    return [*versions[:-1], Version(at=versions[-1].at, task=structs.replace(last, **fields))]


COMPLETED_HISTORY: Final = history(
    State.PENDING,
    State.SUBMITTING,
    State.WAITING,
    State.COMPLETED,
    attempts=(attempt(1),),
    results=(Result(type=TaskType.IMAGE, file="task_1/1/0.png"),),
)


def evidence(versions: Sequence[Version] = COMPLETED_HISTORY, **fields: Any) -> Evidence:
    """The evidence of one task that was created with 201 and submitted once, with `fields` replaced."""
    last = versions[-1].task
    values: dict[str, Any] = {
        "now": at(60),
        "limits": RULES,
        "created": [CreatedTask(task_id="task_1", prompt="one", at=at(0))],
        "tasks": {} if last is None else {last.id: last},
        "histories": {"task_1": versions},
        "submits": {"one": Submits(received=1, accepted=1)},
        "files": frozenset({"task_1/1/0.png"}),
        **fields,
    }
    return Evidence(**values)


def failed(*attempts: Attempt, **fields: Any) -> Sequence[Version]:
    """The versions of a task that failed after those attempts."""
    failure = Failure(code="outcome_unknown", message="nobody knows")
    return history(
        State.PENDING, State.SUBMITTING, State.FAILED, **{"attempts": attempts, "failure": failure, **fields}
    )


def retried() -> Sequence[Version]:
    """The versions of a task that failed with an unknown outcome, was retried, and completed."""
    first, second = attempt(1, "outcome_unknown"), attempt(2)
    failure = Failure(code="outcome_unknown", message="nobody knows")
    states = (State.PENDING, State.SUBMITTING, State.FAILED, State.PENDING, State.SUBMITTING, State.COMPLETED)
    versions = list(history(*states, results=(Result(type=TaskType.TEXT, text="hi"),), attempts=(first, second)))
    for place in (2, 3, 4):
        task = versions[place].task
        assert task is not None
        known = (first,) if place < 4 else (first, second)
        before = 0 if place == 2 else 1
        task = structs.replace(task, attempts=known, attempts_before=before, failure=failure if place == 2 else None)
        versions[place] = Version(at=versions[place].at, task=task)
    return versions


RETRY: Final = ClientCall(task_id="task_1", call="retry", status=200, at=at(3))
CANCELLED: Final = ClientCall(task_id="task_1", call="cancel", status=200, answer="cancelled", at=at(0.5))

VALID: Final[dict[str, Evidence]] = {
    "a task that completes": evidence(),
    "a deleted task": evidence(
        [*COMPLETED_HISTORY, Version(at=at(9), task=None)],
        client_calls=[ClientCall(task_id="task_1", call="delete", status=0, at=at(8))],
    ),
    "a deleted task whose delete was answered with 503": evidence(
        [*COMPLETED_HISTORY, Version(at=at(9), task=None)],
        client_calls=[ClientCall(task_id="task_1", call="delete", status=503, at=at(8))],
    ),
    "a second submit after a refusal": evidence(
        failed(attempt(1, "overloaded"), attempt(2, "outcome_unknown")),
        submits={"one": Submits(received=2, accepted=1)},
    ),
    "another vendor after refused credentials": evidence(failed(attempt(1, "vendor_auth"), attempt(2, provider="q"))),
    "two paid submits after a failed generation": evidence(
        failed(attempt(1, "generation_failed"), attempt(2)), submits={"one": Submits(received=2, accepted=2)}
    ),
    "a second submit after an explicit retry": evidence(
        retried(), client_calls=[RETRY], submits={"one": Submits(received=2, accepted=2)}
    ),
    "a task that ended late because of an outage": evidence(
        failed(attempt(1, "outcome_unknown"), deadline=at(-100)),
        outages=[(at(-99), at(1))],
    ),
    "a wake queue with wakes that are not yet due": evidence(
        keys=[
            RedisKey(name="polyrelay:wakes:default", ttl_ms=-1, members={"task_1:1": at(90).timestamp()}),
            RedisKey(name="arq:job:task_1:1", ttl_ms=1000),
        ]
    ),
}

VIOLATED: Final[dict[str, tuple[str, Evidence]]] = {
    "a created task that is not stored": (
        "created_tasks_are_stored",
        evidence(tasks={}, histories={}, submits={}),
    ),
    "a deleted task whose delete was refused": (
        "created_tasks_are_stored",
        evidence(tasks={}, client_calls=[ClientCall(task_id="task_1", call="delete", status=409, at=at(8))]),
    ),
    "a task that is open after its deadline": ("tasks_end", evidence(history(State.PENDING, deadline=at(2)))),
    "a task that ended long after its deadline": ("tasks_end", evidence(failed(attempt(1, "x"), deadline=at(-9)))),
    "two accepted submits and one attempt": (
        "submits_have_attempts",
        evidence(submits={"one": Submits(received=2, accepted=2)}),
    ),
    "an accepted submit with a refused attempt": (
        "submits_have_attempts",
        evidence(failed(attempt(1, "rate_limited")), submits={"one": Submits(received=1, accepted=1)}),
    ),
    "a submit without a stored task": (
        "submits_have_attempts",
        evidence(submits={"one": Submits(), "other": Submits(received=1, accepted=1)}),
    ),
    "more submits than attempts": (
        "submits_have_attempts",
        evidence(submits={"one": Submits(received=2, accepted=1)}),
    ),
    "an attempt after an unknown outcome": (
        "attempts_follow_safely",
        evidence(failed(attempt(1, "outcome_unknown"), attempt(2, "x"))),
    ),
    "an attempt after one that did not end": (
        "attempts_follow_safely",
        evidence(failed(attempt(1, ended=None), attempt(2, "x"))),
    ),
    "the same vendor after refused credentials": (
        "attempts_follow_safely",
        evidence(failed(attempt(1, "vendor_auth"), attempt(2, "x"))),
    ),
    "a retry that was not requested": ("retries_were_requested", evidence(retried())),
    "a final state that was left": (
        "writes_follow_the_state_chart",
        evidence(history(State.PENDING, State.CANCELLED, State.PENDING)),
    ),
    "a skipped state": ("writes_follow_the_state_chart", evidence(history(State.PENDING, State.WAITING))),
    "a skipped version": (
        "writes_follow_the_state_chart",
        evidence(history(State.PENDING, State.SUBMITTING, version=4)),
    ),
    "a deleted task that is written again": (
        "nothing_is_written_after_a_delete",
        evidence([*COMPLETED_HISTORY, Version(at=at(9), task=None), *COMPLETED_HISTORY]),
    ),
    "an expired lease that is not replaced": (
        "expired_leases_are_replaced",
        evidence(history(State.PENDING, State.SUBMITTING, lease=Lease(owner="w", until=at(4)))),
    ),
    "an ended task with a lease": (
        "expired_leases_are_replaced",
        evidence(failed(attempt(1, "x"), lease=Lease(owner="w", until=at(400)))),
    ),
    "a cancelled task that completes": ("cancelled_stays_cancelled", evidence(client_calls=[CANCELLED])),
    "a cancelled task that is submitted": (
        "cancelled_stays_cancelled",
        evidence(
            history(State.PENDING, State.CANCELLED, attempts=(attempt(1, "cancelled"),)), client_calls=[CANCELLED]
        ),
    ),
    "an ended task that holds a slot": ("gates_are_empty", evidence(holders=["task_1"])),
    "an unknown task that holds a slot": ("gates_are_empty", evidence(holders=["task_2"])),
    "an ended task in a wait queue": ("gates_are_empty", evidence(wait_queues={"2:model:p/m": 1})),
    "a key without expiry": ("redis_keys_expire", evidence(keys=[RedisKey(name="arq:job:x", ttl_ms=-1)])),
    "a wake of an unknown task": (
        "redis_keys_expire",
        evidence(keys=[RedisKey(name="polyrelay:wakes:low", ttl_ms=-1, members={"task_2:1": at(60).timestamp()})]),
    ),
    "a wake that is not taken": (
        "redis_keys_expire",
        evidence(keys=[RedisKey(name="polyrelay:wakes:low", ttl_ms=-1, members={"task_1:1": at(1).timestamp()})]),
    ),
    "a wake of an ended task in an hour": (
        "redis_keys_expire",
        evidence(keys=[RedisKey(name="polyrelay:wakes:low", ttl_ms=-1, members={"task_1:1": at(3660).timestamp()})]),
    ),
    "a completed task without its file": ("results_are_stored", evidence(files=frozenset())),
    "a completed task without results": ("results_are_stored", evidence(history(State.SUBMITTING, State.COMPLETED))),
    "a failure without a message": ("failures_have_a_message", evidence(failed(attempt(1, "x"), failure=None))),
    "a process that exited by itself": (
        "processes_keep_running",
        evidence(unexpected_exits=["worker-1 exited by itself"]),
    ),
}


@pytest.mark.parametrize("name", VALID)
def test_valid_evidence_violates_no_invariant(name: str) -> None:
    """Evidence of permitted behaviour has no violations."""
    assert violations(VALID[name]) == []


@pytest.mark.parametrize("name", VIOLATED)
def test_each_violation_is_reported_by_its_invariant(name: str) -> None:
    """Evidence with one violation violates the named invariant."""
    invariant, broken = VIOLATED[name]
    assert invariant in {violation.invariant for violation in violations(broken)}


def test_every_invariant_can_fail() -> None:
    """The constructed violations cover every invariant."""
    assert {invariant for invariant, _ in VIOLATED.values()} == {invariant.__name__ for invariant in INVARIANTS}


def test_a_violation_is_explained_with_the_history_of_its_task() -> None:
    """The text has the invariant, the stored task and its versions."""
    broken = evidence(retried())
    (violation,) = violations(broken)

    text = explain(violation, broken, [])

    assert "retries_were_requested" in text
    assert "outcome_unknown" in text
    assert "v4 pending" in text


def test_only_time_without_an_outage_counts_as_late() -> None:
    """Time is counted from the end of the latest outage; an outage is a database or all workers being unavailable."""
    process_outages = [
        ProcessOutage(name="worker-1", since=at(0), until=at(6)),
        ProcessOutage(name="worker-2", since=at(4), until=at(8)),
        ProcessOutage(name="mongo", since=at(5), until=at(7)),
        ProcessOutage(name="api", since=at(0), until=at(99)),
    ]
    spans = outages(process_outages, workers=("worker-1", "worker-2"))

    assert spans == [(at(4), at(7))]
    assert longest_uninterrupted_s(at(0), at(10), spans) == 4.0
    assert longest_uninterrupted_s(at(5), at(10), spans) == 3.0
    assert longest_uninterrupted_s(at(5), at(6), spans) <= 0.0
    assert longest_uninterrupted_s(at(8), at(10), spans) == 2.0
