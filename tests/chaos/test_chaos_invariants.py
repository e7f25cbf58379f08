"""The chaos suite's own judgement: each invariant holds for a healthy run and fails for a made-up violation."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from msgspec import structs

from core.attempts import Attempt, Failure
from core.task_states import State
from core.tasks import Lease, Result, Task
from polyrelay import TaskType
from tests.chaos.evidence import Evidence, Receipt, RedisKey, Rules, Submits, Version, Wish
from tests.chaos.invariants import INVARIANTS, violations
from tests.chaos.outages import Away, longest_calm_s, outages
from tests.chaos.report import explain

NOW: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RULES: Final = Rules(grace_s=10.0)


def at(seconds: float) -> datetime:
    """That long after the start of the made-up run."""
    return NOW + timedelta(seconds=seconds)


def attempt(number: int, code: str | None = None, **fields: Any) -> Attempt:
    """An attempt that ended with that code, or well."""
    failure = Failure(code=code, message=code) if code else None
    values: dict[str, Any] = {"provider": "p", "model": "m", "started": at(number), "ended": at(number + 0.5), **fields}
    return Attempt(number=number, failure=failure, **values)


def life(*states: State, **fields: Any) -> Sequence[Version]:
    """The versions of a task that goes through those states, one in a second; `fields` are those of the last."""
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


HEALTHY: Final = life(
    State.PENDING,
    State.SUBMITTING,
    State.WAITING,
    State.COMPLETED,
    attempts=(attempt(1),),
    results=(Result(type=TaskType.IMAGE, file="task_1/1/0.png"),),
)


def evidence(versions: Sequence[Version] = HEALTHY, **fields: Any) -> Evidence:
    """A run of one task, answered 201 and submitted once unless `fields` say otherwise."""
    last = versions[-1].task
    values: dict[str, Any] = {
        "now": at(60),
        "rules": RULES,
        "receipts": [Receipt(task_id="task_1", prompt="one", at=at(0))],
        "tasks": {} if last is None else {last.id: last},
        "histories": {"task_1": versions},
        "submits": {"one": Submits(received=1, accepted=1)},
        "files": frozenset({"task_1/1/0.png"}),
        **fields,
    }
    return Evidence(**values)


def failed(*attempts: Attempt, **fields: Any) -> Sequence[Version]:
    """A task that failed after those attempts."""
    failure = Failure(code="outcome_unknown", message="nobody knows")
    return life(State.PENDING, State.SUBMITTING, State.FAILED, **{"attempts": attempts, "failure": failure, **fields})


def retried() -> Sequence[Version]:
    """A task that failed for an unknown outcome, was retried, and completed."""
    first, second = attempt(1, "outcome_unknown"), attempt(2)
    failure = Failure(code="outcome_unknown", message="nobody knows")
    states = (State.PENDING, State.SUBMITTING, State.FAILED, State.PENDING, State.SUBMITTING, State.COMPLETED)
    versions = list(life(*states, results=(Result(type=TaskType.TEXT, text="hi"),), attempts=(first, second)))
    for place in (2, 3, 4):
        task = versions[place].task
        assert task is not None
        known = (first,) if place < 4 else (first, second)
        before = 0 if place == 2 else 1
        task = structs.replace(task, attempts=known, attempts_before=before, failure=failure if place == 2 else None)
        versions[place] = Version(at=versions[place].at, task=task)
    return versions


RETRY: Final = Wish(task_id="task_1", call="retry", status=200, at=at(3))
CANCELLED: Final = Wish(task_id="task_1", call="cancel", status=200, answer="cancelled", at=at(0.5))

SOUND: Final[dict[str, Evidence]] = {
    "a task that completes": evidence(),
    "a task that was removed as asked": evidence(
        [*HEALTHY, Version(at=at(9), task=None)], wishes=[Wish(task_id="task_1", call="delete", status=0, at=at(8))]
    ),
    "a task whose removal was done and answered 503": evidence(
        [*HEALTHY, Version(at=at(9), task=None)], wishes=[Wish(task_id="task_1", call="delete", status=503, at=at(8))]
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
        retried(), wishes=[RETRY], submits={"one": Submits(received=2, accepted=2)}
    ),
    "a task that an outage kept from ending": evidence(
        failed(attempt(1, "outcome_unknown"), deadline=at(-100)),
        outages=[(at(-99), at(1))],
    ),
    "a queue of wakes to come": evidence(
        keys=[
            RedisKey(name="polyrelay:wakes:default", ttl_ms=-1, members={"task_1:1": at(90).timestamp()}),
            RedisKey(name="arq:job:task_1:1", ttl_ms=1000),
        ]
    ),
}

BROKEN: Final[dict[str, tuple[str, Evidence]]] = {
    "a task that was answered 201 and lost": (
        "accepted_tasks_are_on_record",
        evidence(tasks={}, histories={}, submits={}),
    ),
    "a removal that was refused, and the task is gone": (
        "accepted_tasks_are_on_record",
        evidence(tasks={}, wishes=[Wish(task_id="task_1", call="delete", status=409, at=at(8))]),
    ),
    "a task that is open after its deadline": ("tasks_end", evidence(life(State.PENDING, deadline=at(2)))),
    "a task that ended long after its deadline": ("tasks_end", evidence(failed(attempt(1, "x"), deadline=at(-9)))),
    "two accepted submits and one attempt": (
        "submits_have_attempts",
        evidence(submits={"one": Submits(received=2, accepted=2)}),
    ),
    "an accepted submit whose attempt says that it was refused": (
        "submits_have_attempts",
        evidence(failed(attempt(1, "rate_limited")), submits={"one": Submits(received=1, accepted=1)}),
    ),
    "a submit that is on no record": (
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
    "a retry that nobody asked for": ("retries_were_asked_for", evidence(retried())),
    "a final state that was left": (
        "writes_follow_the_chart",
        evidence(life(State.PENDING, State.CANCELLED, State.PENDING)),
    ),
    "a state that was passed over": ("writes_follow_the_chart", evidence(life(State.PENDING, State.WAITING))),
    "a version that was passed over": (
        "writes_follow_the_chart",
        evidence(life(State.PENDING, State.SUBMITTING, version=4)),
    ),
    "a removed task that came back": (
        "nothing_is_written_after_removal",
        evidence([*HEALTHY, Version(at=at(9), task=None), *HEALTHY]),
    ),
    "a lease that nobody took over": (
        "leases_are_kept_in_time",
        evidence(life(State.PENDING, State.SUBMITTING, lease=Lease(owner="w", until=at(4)))),
    ),
    "an ended task with a lease": (
        "leases_are_kept_in_time",
        evidence(failed(attempt(1, "x"), lease=Lease(owner="w", until=at(400)))),
    ),
    "a cancelled task that goes on": ("cancelled_stays_cancelled", evidence(wishes=[CANCELLED])),
    "a cancelled task that is submitted": (
        "cancelled_stays_cancelled",
        evidence(life(State.PENDING, State.CANCELLED, attempts=(attempt(1, "cancelled"),)), wishes=[CANCELLED]),
    ),
    "a gate that an ended task holds": ("gates_are_empty", evidence(holders=["task_1"])),
    "a gate that nobody holds": ("gates_are_empty", evidence(holders=["task_2"])),
    "a line in which an ended task stands": ("gates_are_empty", evidence(lines={"2:model:p/m": 1})),
    "a key that lives for ever": ("redis_keys_end", evidence(keys=[RedisKey(name="arq:job:x", ttl_ms=-1)])),
    "a wake of an unknown task": (
        "redis_keys_end",
        evidence(keys=[RedisKey(name="polyrelay:wakes:low", ttl_ms=-1, members={"task_2:1": at(60).timestamp()})]),
    ),
    "a wake that nobody takes": (
        "redis_keys_end",
        evidence(keys=[RedisKey(name="polyrelay:wakes:low", ttl_ms=-1, members={"task_1:1": at(1).timestamp()})]),
    ),
    "a wake of an ended task in an hour": (
        "redis_keys_end",
        evidence(keys=[RedisKey(name="polyrelay:wakes:low", ttl_ms=-1, members={"task_1:1": at(3660).timestamp()})]),
    ),
    "a completed task without its file": ("results_are_stored", evidence(files=frozenset())),
    "a completed task without results": ("results_are_stored", evidence(life(State.SUBMITTING, State.COMPLETED))),
    "a failure without a reason": ("failures_say_why", evidence(failed(attempt(1, "x"), failure=None))),
    "a process that ended by itself": ("processes_live_on", evidence(deaths=["worker-1 ended by itself"])),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_run_violates_nothing(name: str) -> None:
    """What is allowed is not taken for a violation."""
    assert violations(SOUND[name]) == []


@pytest.mark.parametrize("name", BROKEN)
def test_each_violation_is_found(name: str) -> None:
    """The invariant that is meant finds it."""
    invariant, broken = BROKEN[name]
    assert invariant in {violation.invariant for violation in violations(broken)}


def test_every_invariant_can_fail() -> None:
    """There is a made-up violation for each of them."""
    assert {invariant for invariant, _ in BROKEN.values()} == {invariant.__name__ for invariant in INVARIANTS}


def test_a_violation_is_reported_with_all_that_is_known_of_its_task() -> None:
    """The record, its history and what the client asked for are in the text."""
    broken = evidence(retried())
    (violation,) = violations(broken)

    reported = explain(violation, broken, [])

    assert "retries_were_asked_for" in reported
    assert "outcome_unknown" in reported
    assert "v4 pending" in reported


def test_only_calm_time_makes_late() -> None:
    """Time is counted from the end of the latest outage, and an outage is a database or all workers away."""
    unavailable = [
        Away(name="worker-1", since=at(0), until=at(6)),
        Away(name="worker-2", since=at(4), until=at(8)),
        Away(name="mongo", since=at(5), until=at(7)),
        Away(name="api", since=at(0), until=at(99)),
    ]
    spans = outages(unavailable, workers=("worker-1", "worker-2"))

    assert spans == [(at(4), at(7))]
    assert longest_calm_s(at(0), at(10), spans) == 4.0
    assert longest_calm_s(at(5), at(10), spans) == 3.0
    assert longest_calm_s(at(5), at(6), spans) <= 0.0
    assert longest_calm_s(at(8), at(10), spans) == 2.0
