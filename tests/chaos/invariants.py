"""The invariants: what must be true after any run. Each is a function from the evidence to the violations of it."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

from core.attempts import Attempt
from core.task_states import MOVES, State
from core.tasks import Task
from tests.chaos.evidence import Evidence, RedisKey, Version, Violation

Found: TypeAlias = Iterator[tuple[str | None, str]]
"""For each violation: the task's id, or None if it is not about one task, and what is wrong."""

REFUSED: Final = frozenset({"provider_unavailable", "rate_limited", "overloaded"})
"""Codes of attempts that the vendor certainly did not accept."""

REFUSED_BY_VENDOR: Final = frozenset({"vendor_auth", "vendor_quota", "vendor_not_found"})
"""Codes of attempts that the vendor certainly did not accept, and after which only another vendor may be asked."""


def created_tasks_are_stored(evidence: Evidence) -> Found:
    """Every task whose create was answered with 201 is stored, unless the client deleted it."""
    for created_task in evidence.created:
        if created_task.task_id not in evidence.tasks and created_task.task_id not in evidence.deletable():
            yield created_task.task_id, f"answered 201 at {created_task.at:%H:%M:%S.%f} and is not stored"


def tasks_end(evidence: Evidence) -> Found:
    """No task is open, or ended, later than its deadline plus the grace period."""
    limits = evidence.limits
    for task in evidence.tasks.values():
        late_s = evidence.late_s(task.deadline, task.updated if task.state.final else evidence.now)
        was_storing = any(version.task and version.task.state is State.STORING for version in evidence.history(task.id))
        if late_s > limits.grace_s + (limits.storing_s if was_storing else 0.0):
            status = "ended" if task.state.final else f"is still {task.state.value}"
            yield task.id, f"{status} {late_s:.1f} s without outage after its deadline"


def submits_have_attempts(evidence: Evidence) -> Found:
    """The vendor accepted a prompt at most as often as there are stored attempts that it may have accepted."""
    by_prompt = {task.prompt: task for task in evidence.last_known().values()}
    for prompt, submits in evidence.submits.items():
        task = by_prompt.get(prompt)
        if task is None:
            yield None, f"prompt {prompt!r} was accepted {submits.accepted} times and belongs to no task"
            continue
        possible = sum(map(_may_be_accepted, task.attempts))
        if submits.accepted > possible:
            yield (
                task.id,
                f"the vendor accepted {submits.accepted} submits; {possible} stored attempts may account for them",
            )
        elif submits.received > len(task.attempts):
            yield task.id, f"the vendor received {submits.received} submits; {len(task.attempts)} attempts are stored"


def _may_be_accepted(attempt: Attempt) -> bool:
    if attempt.accepted is not None or attempt.failure is None:
        return True
    return attempt.failure.code not in REFUSED | REFUSED_BY_VENDOR


def attempts_follow_safely(evidence: Evidence) -> Found:
    """An attempt follows another only after an explicit retry, a certain refusal, or a failed generation."""
    for task in evidence.last_known().values():
        retried_after = {reopened.attempts_before for reopened in _reopenings(evidence.history(task.id))}
        for earlier, later in pairwise(task.attempts):
            if earlier.number not in retried_after and not _allows_another(earlier, later):
                code = earlier.failure.code if earlier.failure else "no failure"
                yield task.id, f"attempt {later.number} followed attempt {earlier.number}, which ended with {code}"


def _allows_another(earlier: Attempt, later: Attempt) -> bool:
    code = earlier.failure.code if earlier.failure else None
    if earlier.ended is None or code is None:
        return False
    if code in REFUSED_BY_VENDOR:
        return (earlier.provider, earlier.model) != (later.provider, later.model)
    return code in REFUSED or code == "generation_failed"


def retries_were_requested(evidence: Evidence) -> Found:
    """A failed task is reopened at most as often as the client requested a retry."""
    for task_id, versions in evidence.histories.items():
        reopened = sum(1 for _ in _reopenings(versions))
        requested = sum(
            each.task_id == task_id and each.call == "retry" and each.may_have_taken_effect
            for each in evidence.client_calls
        )
        if reopened > requested:
            yield task_id, f"was reopened {reopened} times; a retry was requested {requested} times"


def _reopenings(versions: Sequence[Version]) -> Iterator[Task]:
    for before, after in _writes(versions):
        if before.state is State.FAILED and after.state is State.PENDING:
            yield after


def writes_follow_the_state_chart(evidence: Evidence) -> Found:
    """Each write to a task is one arrow of the state chart and one version; only a retry leaves a final state."""
    for task_id, versions in evidence.histories.items():
        for before, after in _writes(versions):
            if after.version == before.version:  # a renewed lease, or a cancellation request
                continue
            if after.version != before.version + 1:
                yield task_id, f"version {before.version} was followed by version {after.version}"
            elif after.state not in MOVES[before.state]:
                yield task_id, f"went from {before.state.value} to {after.state.value} with version {after.version}"


def _writes(versions: Sequence[Version]) -> Iterator[tuple[Task, Task]]:
    for before, after in pairwise(versions):
        if before.task is not None and after.task is not None:
            yield before.task, after.task


def nothing_is_written_after_a_delete(evidence: Evidence) -> Found:
    """A deleted task is not written again."""
    for task_id, versions in evidence.histories.items():
        if any(before.task is None for before, _ in pairwise(versions)):
            yield task_id, "was written after its delete"


def expired_leases_are_replaced(evidence: Evidence) -> Found:
    """Only an open task has a lease, and an expired lease is replaced within the grace period."""
    for task in evidence.tasks.values():
        if task.lease is not None and task.state.final:
            yield task.id, f"is {task.state.value} and has a lease"
    for task_id, versions in evidence.histories.items():
        for version, following in pairwise([*versions, None]):
            lease = version.task.lease if version is not None and version.task is not None else None
            until = evidence.now if following is None else following.at
            expired_s = 0.0 if lease is None else evidence.late_s(lease.until, until)
            if lease is not None and expired_s > evidence.limits.grace_s:
                yield task_id, f"the lease of {lease.owner} was expired for {expired_s:.1f} s without outage"


def cancelled_stays_cancelled(evidence: Evidence) -> Found:
    """A task whose cancel was answered with `cancelled` is cancelled, and is not submitted afterwards."""
    for call in evidence.client_calls:
        task = evidence.tasks.get(call.task_id)
        if (call.call, call.answer) != ("cancel", "cancelled") or task is None:
            continue
        if task.state is not State.CANCELLED:
            yield task.id, f"the API answered `cancelled`, and the task is {task.state.value}"
        elif task.attempts and task.attempts[-1].started > call.at:
            yield task.id, "was submitted after the API answered `cancelled`"


def gates_are_empty(evidence: Evidence) -> Found:
    """Only open tasks hold slots of gates; when all tasks have ended, the wait queues are empty."""
    all_tasks = evidence.last_known()
    for task_id in evidence.holders:
        if task_id not in all_tasks or all_tasks[task_id].state.final or task_id not in evidence.tasks:
            yield task_id, "holds a slot of a gate and is not open"
    for gate, length in evidence.wait_queues.items():
        if length and all(task.state.final for task in evidence.tasks.values()):
            yield None, f"{length} tasks are queued at {gate}, and all tasks have ended"


def redis_keys_expire(evidence: Evidence) -> Found:
    """Every key in Redis expires, or is a wake queue with wakes of known tasks that workers take in time."""
    for key in evidence.keys:
        if key.ttl_ms >= 0:
            continue
        if not key.name.startswith("polyrelay:wakes:"):
            yield None, f"{key.name} does not expire"
            continue
        yield from _stray_wakes(evidence, key)


def _stray_wakes(evidence: Evidence, key: RedisKey) -> Found:
    all_tasks, now = evidence.last_known(), evidence.now.timestamp()
    for wake, at in key.members.items():
        task = all_tasks.get(wake.partition(":")[0])
        if task is None:
            yield None, f"{key.name} has the wake {wake} of an unknown task"
        elif at < now - evidence.limits.grace_s:
            yield task.id, f"{key.name} has the wake {wake}, which has been due for {now - at:.1f} s"
        elif task.state.final and at > now + evidence.limits.lock_s + evidence.limits.grace_s:
            yield task.id, f"{key.name} has the wake {wake} of an ended task, due in {at - now:.1f} s"


def results_are_stored(evidence: Evidence) -> Found:
    """A completed task has results, and each of their files is in the result store."""
    for task in evidence.tasks.values():
        if task.state is not State.COMPLETED:
            continue
        if not task.results:
            yield task.id, "is completed and has no results"
        for result in task.results:
            if result.file is not None and result.file not in evidence.files:
                yield task.id, f"is completed, and its file {result.file} is not in the result store"


def failures_have_a_message(evidence: Evidence) -> Found:
    """A failed task has a failure with a message."""
    for task in evidence.tasks.values():
        if task.state is State.FAILED and (task.failure is None or not task.failure.message):
            yield task.id, "failed without a message"


def processes_keep_running(evidence: Evidence) -> Found:
    """No process exits without an injected fault, for instance because another one is unavailable."""
    for exited in evidence.unexpected_exits:
        yield None, exited


INVARIANTS: Final[Sequence[Callable[[Evidence], Found]]] = (
    created_tasks_are_stored,
    tasks_end,
    submits_have_attempts,
    attempts_follow_safely,
    retries_were_requested,
    writes_follow_the_state_chart,
    nothing_is_written_after_a_delete,
    expired_leases_are_replaced,
    cancelled_stays_cancelled,
    gates_are_empty,
    redis_keys_expire,
    results_are_stored,
    failures_have_a_message,
    processes_keep_running,
)


def violations(evidence: Evidence) -> Sequence[Violation]:
    """All violations of all invariants."""
    return [
        Violation(invariant=invariant.__name__, what=what, task_id=task_id)
        for invariant in INVARIANTS
        for task_id, what in invariant(evidence)
    ]
