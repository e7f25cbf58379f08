"""
Tasks: the stored record of a task, with its lease, results, fallbacks and idempotency key.

A task is an immutable value. A change is a new value whose `version` is higher by one; a repository stores it only if
the stored version is the old one.
"""

from datetime import datetime
from typing import Any, TypeAlias

from msgspec import Struct, structs

from core.attempts import Attempt, Failure
from core.priorities import Priority
from core.task_states import MOVES, IllegalMove, State, Status
from polyrelay import TaskType, Usage

TaskInput: TypeAlias = dict[str, Any]
"""A model's params as JSON values: as in the caller's request, after validation by the model."""


class RelayCall(Struct, frozen=True, kw_only=True):
    """
    The call of a vendor's own API that created a task. Its body is the task's input and is sent unchanged.

    Attributes:
        action: The vendor's name of the call, such as "CVSync2AsyncSubmitTask".
        version: The vendor's version of the call, such as "2022-08-31".
    """

    action: str
    version: str


class Idempotency(Struct, frozen=True, kw_only=True):
    """
    The idempotency key of the request that created a task.

    Attributes:
        key: The caller's `Idempotency-Key`, with its owner and route. It is unique among tasks.
        body_hash: SHA-256 of the request's body, in hex.
        until: When the key expires and may be used for another request.
    """

    key: str
    body_hash: str
    until: datetime


class Lease(Struct, frozen=True, kw_only=True):
    """The worker that processes a task, and the time until which no other worker may."""

    owner: str
    until: datetime


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One output of a completed task.

    Attributes:
        type: image, video or text.
        text: The text, for a result of type text.
        finish_reason: Why the text ended, in the vendor's terms.
        file: Name in the result store, if it was copied there.
        url: The vendor's link, if there is one.
        url_expires: Until when the vendor serves `url`, if the vendor says so.
        media_type: Media type, such as "image/png".
        size_bytes: Size of the stored file.
    """

    type: TaskType
    text: str | None = None
    finish_reason: str | None = None
    file: str | None = None
    url: str | None = None
    url_expires: datetime | None = None
    media_type: str | None = None
    size_bytes: int | None = None

    @property
    def is_link(self) -> bool:
        """Whether only the vendor has the file."""
        return self.url is not None and self.file is None


class Choice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A provider and model for a task: what the caller asked for, or a fallback.

    Attributes:
        provider: Provider to call.
        model: Model to call.
        params: Params that differ for this model; null removes a param.
    """

    provider: str
    model: str
    params: dict[str, Any] = {}


class Task(Struct, frozen=True, kw_only=True):
    """
    The stored record of a task, without its input, which is stored separately and never changes.

    Attributes:
        id: Unique; sorts by time of creation.
        version: Increased by one with each stored change.
        type: Type of the output.
        state: Current state.
        provider: Provider that the caller asked for.
        model: Model that the caller asked for.
        user_id: User to whom the task belongs, as the caller named it.
        owner: Owner of the key that created it. `app` keys see only tasks of their owner. None with `AUTH=none`.
        key_id: Id of the key that created it.
        key_max_concurrent: Limit on open submissions of the owner, or None for no limit.
        quotas: Names of the quotas in which an open task counts: see `core.quotas`.
        idempotency: Idempotency key of the create. Written at the create only; saves do not change it.
        replay: Hash of the signature of the create, unique among tasks. Written at the create only.
        relay: The call of the vendor's own API that created it, or None.
        fallbacks: Choices to try next, in order, as long as it is certain that no vendor accepted the task.
        choice: Index of the choice that is tried next: 0 is `provider` and `model`, 1 the first fallback.
        priority: How soon workers process it, relative to other tasks.
        prompt: First 500 characters of the prompt, for lists.
        metadata: The caller's metadata, returned unchanged.
        created: When it was created.
        updated: When this version was written.
        deadline: When it ends at the latest.
        wake_at: When a worker must process it next; None in a final state.
        lease: The worker that processes it now, or None.
        attempts: All submissions, oldest first.
        attempts_before: Number of attempts before the latest explicit retry.
        retried: When the latest explicit retry was requested.
        cancel_requested: Time of the cancellation request. Only `TaskRepository.request_cancel` writes it.
        results: Outputs of a completed task; in `storing`, the vendor's links.
        usage: Usage that the vendor reported.
        progress: 0.0 to 1.0, if the vendor reports it.
        failure: Why it failed.
    """

    id: str
    version: int = 1
    type: TaskType
    state: State = State.PENDING
    provider: str
    model: str
    user_id: str
    owner: str | None = None
    key_id: str | None = None
    key_max_concurrent: int | None = None
    quotas: tuple[str, ...] = ()
    idempotency: Idempotency | None = None
    replay: str | None = None
    relay: RelayCall | None = None
    fallbacks: tuple[Choice, ...] = ()
    choice: int = 0
    priority: Priority = Priority.DEFAULT
    prompt: str | None = None
    metadata: dict[str, Any] = {}
    created: datetime
    updated: datetime
    deadline: datetime
    wake_at: datetime | None = None
    lease: Lease | None = None
    attempts: tuple[Attempt, ...] = ()
    attempts_before: int = 0
    retried: datetime | None = None
    cancel_requested: datetime | None = None
    results: tuple[Result, ...] = ()
    usage: Usage | None = None
    progress: float | None = None
    failure: Failure | None = None

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The choices in the order in which they are tried: what the caller asked for, then the fallbacks."""
        return (Choice(provider=self.provider, model=self.model), *self.fallbacks)

    @property
    def is_cancel_requested(self) -> bool:
        """Whether there is a cancellation request."""
        return self.cancel_requested is not None

    @property
    def status(self) -> Status:
        """The status that callers see."""
        return self.state.status

    @property
    def attempt(self) -> Attempt:
        """
        The latest attempt.

        Raises:
            IndexError: There is no attempt yet.
        """
        return self.attempts[-1]

    def to(self, state: State, *, now: datetime, **changes: Any) -> "Task":
        """
        The next version of the task, in the given state. A final state removes the lease and `wake_at`.

        Raises:
            IllegalMove: The table of moves does not allow it.
        """
        if state not in MOVES[self.state]:
            raise IllegalMove(f"task {self.id}: {self.state} to {state}")
        if state.final:
            changes = {**changes, "lease": None, "wake_at": None}
        return structs.replace(self, version=self.version + 1, state=state, updated=now, **changes)

    def with_attempt(self, **changes: Any) -> tuple[Attempt, ...]:
        """All attempts, with changes to the latest one."""
        return (*self.attempts[:-1], structs.replace(self.attempt, **changes))


class TaskSummary(Struct, frozen=True, kw_only=True):
    """A task in a list: without attempts, and without texts in its results. Fields as in `Task`."""

    id: str
    type: TaskType
    state: State
    provider: str
    model: str
    user_id: str
    owner: str | None = None
    prompt: str | None = None
    created: datetime
    updated: datetime
    results: tuple[Result, ...] = ()
    progress: float | None = None
    failure: Failure | None = None


def input_for(task_input: TaskInput, choice: Choice) -> TaskInput:
    """The input of a task for one of its choices: the params of the choice replace those of the task."""
    merged = {**task_input, **choice.params}
    return {name: value for name, value in merged.items() if value is not None}
