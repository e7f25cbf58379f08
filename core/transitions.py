"""
Transitions of a task as pure functions: the stored task and an event give the next version of the task.

    pending ─begun→ submitting ─accepted→ waiting ─finished→ storing ─stored→ completed

`attempt_failed` leads from every open state to `failed`, or back to `pending` if another attempt is safe.
"""

from datetime import datetime, timedelta
from typing import Any

from msgspec import structs

from core.attempts import Attempt, Failure
from core.task_states import State
from core.tasks import Lease, Result, Task
from polyrelay import Pending, Usage


def begun(task: Task, *, choice: int, owner: str, lease_s: float, now: datetime) -> Task:
    """An attempt at one of the task's choices begins. This is stored before the vendor is called."""
    asked = task.choices[choice]
    attempt = Attempt(number=len(task.attempts) + 1, provider=asked.provider, model=asked.model, started=now)
    return task.to(
        State.SUBMITTING,
        now=now,
        choice=choice,
        attempts=(*task.attempts, attempt),
        progress=None,
        **leased(owner, lease_s, now),
    )


def postponed(task: Task, *, again_at: datetime, now: datetime) -> Task:
    """A pending task must wait: its vendor is unavailable, or its submit interval has not passed."""
    return task.to(State.PENDING, now=now, wake_at=again_at)


def cancelled(task: Task, failure: Failure, *, now: datetime) -> Task:
    """The caller requested cancellation; `failure` says what that means for the vendor."""
    attempts = task.attempts
    if attempts and attempts[-1].ended is None:
        attempts = task.with_attempt(ended=now, failure=failure)
    return task.to(State.CANCELLED, now=now, attempts=attempts, failure=failure)


def accepted(task: Task, pending: Pending, *, poll_at: datetime, now: datetime) -> Task:
    """The vendor accepted the attempt and returned an operation."""
    return task.to(
        State.WAITING,
        now=now,
        attempts=task.with_attempt(accepted=now, operation=pending.operation),
        progress=pending.progress,
        lease=None,
        wake_at=poll_at,
    )


def polled(task: Task, pending: Pending, *, poll_at: datetime, now: datetime) -> Task:
    """The operation is not done. A vendor may change its handle; progress never decreases."""
    known = [progress for progress in (task.progress, pending.progress) if progress is not None]
    strange = _strange(pending)
    count = task.attempt.unknown_statuses + (strange is not None)
    return task.to(
        State.WAITING,
        now=now,
        attempts=task.with_attempt(
            operation=pending.operation, poll_failures=0, unknown_statuses=count, failure=strange
        ),
        progress=max(known, default=None),
        wake_at=poll_at,
    )


def is_unchanged(before: Task, after: Task) -> bool:
    """Whether a poll changed nothing but the moment of the next one; then nothing is saved."""
    return structs.replace(after, version=before.version, updated=before.updated, wake_at=before.wake_at) == before


def _strange(pending: Pending) -> Failure | None:
    """The failure to show for a status that the vendor's pages do not name, if the task ends without a better one."""
    if pending.unknown_status is None:
        return None
    word = str(pending.unknown_status)[:100]
    return Failure(code="protocol_error", message=f"the vendor's status was {word!r}, which is not known")


def poll_failed(task: Task, failure: Failure, *, poll_at: datetime, now: datetime) -> Task:
    """A poll got no response; the operation counts as not done."""
    attempts = task.with_attempt(poll_failures=task.attempt.poll_failures + 1, failure=failure)
    return task.to(State.WAITING, now=now, attempts=attempts, wake_at=poll_at)


def finished(task: Task, results: tuple[Result, ...], usage: Usage | None, *, now: datetime) -> Task:
    """The vendor is done, and its results are stored or stay links."""
    return task.to(State.COMPLETED, now=now, **_success(task, results, usage, now))


def storing_begun(
    task: Task, results: tuple[Result, ...], usage: Usage | None, *, owner: str, lease_s: float, now: datetime
) -> Task:
    """The vendor is done; its links are stored with the task, and `owner` copies them."""
    return task.to(State.STORING, now=now, **_success(task, results, usage, now), **leased(owner, lease_s, now))


def storing_resumed(task: Task, *, owner: str, lease_s: float, now: datetime) -> Task:
    """`owner` takes over the copying of the results, or starts it again."""
    return task.to(State.STORING, now=now, **leased(owner, lease_s, now))


def storing_postponed(task: Task, *, again_at: datetime, now: datetime) -> Task:
    """Copying failed for now."""
    attempts = task.with_attempt(copy_failures=task.attempt.copy_failures + 1)
    return task.to(State.STORING, now=now, attempts=attempts, lease=None, wake_at=again_at)


def stored(task: Task, results: tuple[Result, ...], *, now: datetime) -> Task:
    """All results are stored."""
    return task.to(State.COMPLETED, now=now, results=results)


def attempt_failed(task: Task, failure: Failure, *, again_at: datetime | None, choice: int, now: datetime) -> Task:
    """The attempt, if one is open, failed: pending again for `choice` at `again_at`, or failed for good."""
    attempts = task.attempts
    if attempts and attempts[-1].ended is None:
        attempts = task.with_attempt(ended=now, failure=failure)
    if again_at is None:
        return task.to(State.FAILED, now=now, attempts=attempts, failure=failure)
    return task.to(
        State.PENDING,
        now=now,
        choice=choice,
        attempts=attempts,
        lease=None,
        wake_at=again_at,
        progress=None,
    )


def _success(task: Task, results: tuple[Result, ...], usage: Usage | None, now: datetime) -> dict[str, Any]:
    attempts = task.with_attempt(accepted=task.attempt.accepted or now, ended=now, failure=None)
    return {"attempts": attempts, "results": results, "usage": usage, "progress": 1.0}


def lease_expired(task: Task, now: datetime) -> bool:
    """Whether the task has no lease, or one that has expired."""
    return task.lease is None or task.lease.until <= now


def leased(owner: str, lease_s: float, now: datetime) -> dict[str, Any]:
    """The fields of a task that `owner` works on: its lease, and a wake for the moment when the lease expires."""
    until = now + timedelta(seconds=lease_s)
    return {"lease": Lease(owner=owner, until=until), "wake_at": until}


def attempts_counted(task: Task) -> tuple[Attempt, ...]:
    """The attempts that count toward the caps: those since the latest explicit retry."""
    return task.attempts[task.attempts_before :]


def accepted_count(task: Task) -> int:
    """How many of them the vendor accepted, with or without an operation: each may have been billed."""
    return sum(
        attempt.accepted is not None or (attempt.failure is not None and attempt.failure.code == "generation_failed")
        for attempt in attempts_counted(task)
    )
