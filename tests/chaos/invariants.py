"""What must be true after any run, whatever went wrong in it: functions from the evidence to its violations."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

from core.attempts import Attempt
from core.task_states import MOVES, State
from core.tasks import Task
from tests.chaos.evidence import Evidence, RedisKey, Version, Violation

Found: TypeAlias = Iterator[tuple[str | None, str]]
"""Of each violation the task, if it is one's, and what is wrong."""

REFUSED: Final = frozenset({"provider_unavailable", "rate_limited", "overloaded"})
"""Codes of attempts that the vendor definitely did not accept."""

REFUSED_HERE: Final = frozenset({"vendor_auth", "vendor_quota", "vendor_not_found"})
"""The same; but only another vendor may be asked after it."""


def accepted_tasks_are_on_record(evidence: Evidence) -> Found:
    """Every task that was answered 201 is on record, unless the client had it removed."""
    for receipt in evidence.receipts:
        if receipt.task_id not in evidence.tasks and receipt.task_id not in evidence.removable():
            yield receipt.task_id, f"answered 201 at {receipt.at:%H:%M:%S.%f} and is not on record"


def tasks_end(evidence: Evidence) -> Found:
    """No task is open after its deadline and grace, or ended later than that."""
    rules = evidence.rules
    for task in evidence.tasks.values():
        late_s = evidence.late_s(task.deadline, task.updated if task.state.final else evidence.now)
        was_storing = any(version.task and version.task.state is State.STORING for version in evidence.history(task.id))
        if late_s > rules.grace_s + (rules.storing_s if was_storing else 0.0):
            word = "ended" if task.state.final else f"is still {task.state.value}"
            yield task.id, f"{word} {late_s:.1f} calm s after its deadline"


def submits_have_attempts(evidence: Evidence) -> Found:
    """The vendor accepted a prompt no more often than attempts are on record that it may have accepted."""
    by_prompt = {task.prompt: task for task in evidence.last_known().values()}
    for prompt, submits in evidence.submits.items():
        task = by_prompt.get(prompt)
        if task is None:
            yield None, f"prompt {prompt!r} was accepted {submits.accepted} times and belongs to no task"
            continue
        possible = sum(map(_may_be_accepted, task.attempts))
        if submits.accepted > possible:
            yield task.id, f"the vendor accepted {submits.accepted} submits; on record are {possible} that it may have"
        elif submits.received > len(task.attempts):
            yield task.id, f"the vendor got {submits.received} submits; {len(task.attempts)} attempts are on record"


def _may_be_accepted(attempt: Attempt) -> bool:
    if attempt.accepted is not None or attempt.failure is None:
        return True
    return attempt.failure.code not in REFUSED | REFUSED_HERE


def attempts_follow_safely(evidence: Evidence) -> Found:
    """An attempt follows another only after an explicit retry, a definite refusal, or a failed generation."""
    for task in evidence.last_known().values():
        retried_after = {again.attempts_before for again in _reopenings(evidence.history(task.id))}
        for earlier, later in pairwise(task.attempts):
            if earlier.number not in retried_after and not _allows_another(earlier, later):
                code = earlier.failure.code if earlier.failure else "no failure"
                yield task.id, f"attempt {later.number} followed attempt {earlier.number}, which ended with {code}"


def _allows_another(earlier: Attempt, later: Attempt) -> bool:
    code = earlier.failure.code if earlier.failure else None
    if earlier.ended is None or code is None:
        return False
    if code in REFUSED_HERE:
        return (earlier.provider, earlier.model) != (later.provider, later.model)
    return code in REFUSED or code == "generation_failed"


def retries_were_asked_for(evidence: Evidence) -> Found:
    """A failed task is reopened no more often than the client asked for it."""
    for task_id, versions in evidence.histories.items():
        reopened = sum(1 for _ in _reopenings(versions))
        asked = sum(
            cancellation_request.task_id == task_id
            and cancellation_request.call == "retry"
            and cancellation_request.may_be_done
            for cancellation_request in evidence.wishes
        )
        if reopened > asked:
            yield task_id, f"was reopened {reopened} times; a retry was asked for {asked} times"


def _reopenings(versions: Sequence[Version]) -> Iterator[Task]:
    for before, after in _writes(versions):
        if before.state is State.FAILED and after.state is State.PENDING:
            yield after


def writes_follow_the_chart(evidence: Evidence) -> Found:
    """Each write to a task is one arrow of the chart and one version; a final state is left only by a retry."""
    for task_id, versions in evidence.histories.items():
        for before, after in _writes(versions):
            if after.version == before.version:  # a lease that was renewed, or a wish to cancel
                continue
            if after.version != before.version + 1:
                yield task_id, f"version {before.version} was followed by version {after.version}"
            elif after.state not in MOVES[before.state]:
                yield task_id, f"went from {before.state.value} to {after.state.value} with version {after.version}"


def _writes(versions: Sequence[Version]) -> Iterator[tuple[Task, Task]]:
    for before, after in pairwise(versions):
        if before.task is not None and after.task is not None:
            yield before.task, after.task


def nothing_is_written_after_removal(evidence: Evidence) -> Found:
    """A removed task does not come back."""
    for task_id, versions in evidence.histories.items():
        if any(before.task is None for before, _ in pairwise(versions)):
            yield task_id, "was written to after its removal"


def leases_are_kept_in_time(evidence: Evidence) -> Found:
    """Only an open task has a lease, and one that ran out does not stand for longer than the grace."""
    for task in evidence.tasks.values():
        if task.lease is not None and task.state.final:
            yield task.id, f"is {task.state.value} and has a lease"
    for task_id, versions in evidence.histories.items():
        for version, control_sync in pairwise([*versions, None]):
            lease = version.task.lease if version is not None and version.task is not None else None
            until = evidence.now if control_sync is None else control_sync.at
            stood_s = 0.0 if lease is None else evidence.late_s(lease.until, until)
            if lease is not None and stood_s > evidence.rules.grace_s:
                yield task_id, f"the lease of {lease.owner} stood for {stood_s:.1f} calm s after it ran out"


def cancelled_stays_cancelled(evidence: Evidence) -> Found:
    """A task that the API called cancelled is cancelled, and nothing of it is submitted afterwards."""
    for cancellation_request in evidence.wishes:
        task = evidence.tasks.get(cancellation_request.task_id)
        if (cancellation_request.call, cancellation_request.answer) != ("cancel", "cancelled") or task is None:
            continue
        if task.state is not State.CANCELLED:
            yield task.id, f"the API said that it was cancelled, and it is {task.state.value}"
        elif task.attempts and task.attempts[-1].started > cancellation_request.at:
            yield task.id, "was submitted after the API said that it was cancelled"


def gates_are_empty(evidence: Evidence) -> Found:
    """With all tasks ended, no gate is held and nobody stands in a line."""
    known = evidence.last_known()
    for task_id in evidence.holders:
        if task_id not in known or known[task_id].state.final or task_id not in evidence.tasks:
            yield task_id, "holds a gate and is not open"
    for gate, length in evidence.lines.items():
        if length and all(task.state.final for task in evidence.tasks.values()):
            yield None, f"{length} tasks stand in the line of {gate}, and all tasks have ended"


def redis_keys_end(evidence: Evidence) -> Found:
    """Every key in Redis lives for a time only, or is a queue of wakes of known tasks that will be taken."""
    for key in evidence.keys:
        if key.ttl_ms >= 0:
            continue
        if not key.name.startswith("polyrelay:wakes:"):
            yield None, f"{key.name} lives for ever"
            continue
        yield from _stray_wakes(evidence, key)


def _stray_wakes(evidence: Evidence, key: RedisKey) -> Found:
    known, now = evidence.last_known(), evidence.now.timestamp()
    for wake, at in key.members.items():
        task = known.get(wake.partition(":")[0])
        if task is None:
            yield None, f"{key.name} has the wake {wake} of an unknown task"
        elif at < now - evidence.rules.grace_s:
            yield task.id, f"{key.name} has the wake {wake}, which nobody took for {now - at:.1f} s"
        elif task.state.final and at > now + evidence.rules.lock_s + evidence.rules.grace_s:
            yield task.id, f"{key.name} has the wake {wake} of an ended task, due only in {at - now:.1f} s"


def results_are_stored(evidence: Evidence) -> Found:
    """A completed task has results, and each of its files is in the store."""
    for task in evidence.tasks.values():
        if task.state is not State.COMPLETED:
            continue
        if not task.results:
            yield task.id, "is completed and has no results"
        for result in task.results:
            if result.file is not None and result.file not in evidence.files:
                yield task.id, f"is completed, and its file {result.file} is not in the store"


def failures_say_why(evidence: Evidence) -> Found:
    """A failed task has a reason that a person can read."""
    for task in evidence.tasks.values():
        if task.state is State.FAILED and (task.failure is None or not task.failure.message):
            yield task.id, "failed and does not say why"


def processes_live_on(evidence: Evidence) -> Found:
    """No process ends because another one is away."""
    for death in evidence.deaths:
        yield None, death


INVARIANTS: Final[Sequence[Callable[[Evidence], Found]]] = (
    accepted_tasks_are_on_record,
    tasks_end,
    submits_have_attempts,
    attempts_follow_safely,
    retries_were_asked_for,
    writes_follow_the_chart,
    nothing_is_written_after_removal,
    leases_are_kept_in_time,
    cancelled_stays_cancelled,
    gates_are_empty,
    redis_keys_end,
    results_are_stored,
    failures_say_why,
    processes_live_on,
)


def violations(evidence: Evidence) -> Sequence[Violation]:
    """All violations of all invariants."""
    return [
        Violation(invariant=invariant.__name__, what=what, task_id=task_id)
        for invariant in INVARIANTS
        for task_id, what in invariant(evidence)
    ]
