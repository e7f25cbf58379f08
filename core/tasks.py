"""
The task record and its table of moves.

A task is an immutable value; a change is a new value whose `version` is one higher, which a repository accepts only
while the stored version is the old one.
"""

from datetime import datetime
from typing import Any, TypeAlias

from msgspec import Struct, structs

from core.attempts import Attempt, Failure
from core.priorities import Priority
from core.task_states import MOVES, IllegalMove, State, Status
from polyrelay import TaskType, Usage

TaskInput: TypeAlias = dict[str, Any]
"""A model's params as JSON values, as the caller gave them and the model accepted them."""


class RelayCall(Struct, frozen=True, kw_only=True):
    """
    The call of a vendor's own API that created a task; its body is the task's input and is sent as it came.

    Attributes:
        action: Such as "CVSync2AsyncSubmitTask".
        version: Such as "2022-08-31".
    """

    action: str
    version: str


class Idempotency(Struct, frozen=True, kw_only=True):
    """
    What makes a repeated request the same request.

    Attributes:
        key: The caller's `Idempotency-Key` with whose it is and for which route; no two tasks have the same.
        body_hash: SHA-256 of the request's body, in hex.
        until: From then on the key may be used for something else.
    """

    key: str
    body_hash: str
    until: datetime


class Lease(Struct, frozen=True, kw_only=True):
    """Who works on a task, and until when nobody else may."""

    owner: str
    until: datetime


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One output of a completed task.

    Attributes:
        type: image, video or text.
        text: The text itself.
        finish_reason: The vendor's word for why a text ended.
        file: Name in the result store, where it was copied there.
        url: The vendor's link, where there is one.
        url_expires: Until when the vendor serves `url`, where it says so.
        media_type: Such as "image/png".
        size_bytes: Of the stored file.
    """

    type: TaskType
    text: str | None = None
    finish_reason: str | None = None
    file: str | None = None
    url: str | None = None
    url_expires: datetime | None = None
    media_type: str | None = None
    size_bytes: int | None = None


class Choice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Whom to ask where the choices before it cannot take the task.

    Attributes:
        provider: Whom to ask.
        model: For which model.
        params: Params that differ for this model; null leaves one out.
    """

    provider: str
    model: str
    params: dict[str, Any] = {}


class Task(Struct, frozen=True, kw_only=True):
    """
    What a caller created, without its input, which is stored beside it and never changes.

    Attributes:
        id: Sorts by time of creation.
        version: One higher with each stored change.
        type: What is made.
        state: Where it stands.
        provider: Whom the caller asked for.
        model: Which model the caller asked for.
        user_id: The caller's word for whose task it is.
        owner: Whose key created it: the only one whose `app` keys see it. None where nobody was asked.
        key_id: The key that created it.
        key_max_concurrent: So many submissions of that owner may be open at once, or None for any number.
        quotas: Those in which it counts while it is open: see `core.quotas`.
        idempotency: What makes a repeated request the same request. Written once, and by no save.
        replay: Hash of the signature that created it; no two tasks have the same. Written once, and by no save.
        relay: The call of the vendor's own API that created it, if one did.
        fallbacks: Whom to ask instead, in order, while it is certain that nobody accepted the task.
        choice: Who is asked next: 0 is `provider` and `model`, 1 the first fallback.
        priority: How soon it is looked at, relative to others.
        prompt: The prompt's first 500 characters, for lists.
        metadata: The caller's own, handed back as it came.
        created: When it was accepted.
        updated: When this version was made.
        deadline: When it ends at the latest.
        wake_at: When somebody must look at it next; None when final.
        lease: Who works on it just now.
        attempts: All submissions, oldest first.
        attempts_before: How many of them were made before the latest explicit retry.
        retried: When that retry was asked for.
        cancel_requested: When the caller asked to cancel it. `TaskRepository.request_cancel` alone writes it.
        results: Once completed; while storing, the vendor's links.
        usage: What the vendor counted.
        progress: 0.0 to 1.0, where the vendor says.
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
        """Whom to ask, in order: what the caller asked for, then the fallbacks."""
        return (Choice(provider=self.provider, model=self.model), *self.fallbacks)

    @property
    def is_cancel_requested(self) -> bool:
        """Whether the caller wants it to end."""
        return self.cancel_requested is not None

    @property
    def status(self) -> Status:
        """What callers see."""
        return self.state.status

    @property
    def attempt(self) -> Attempt:
        """
        The latest attempt.

        Raises:
            IndexError: Nothing was submitted yet.
        """
        return self.attempts[-1]

    def to(self, state: State, *, now: datetime, **changes: Any) -> "Task":
        """
        The next version, in that state; a final state drops the lease and the wake.

        Raises:
            IllegalMove: The table has no such arrow.
        """
        if state not in MOVES[self.state]:
            raise IllegalMove(f"task {self.id}: {self.state} to {state}")
        if state.final:
            changes = {**changes, "lease": None, "wake_at": None}
        return structs.replace(self, version=self.version + 1, state=state, updated=now, **changes)

    def with_attempt(self, **changes: Any) -> tuple[Attempt, ...]:
        """All attempts, with the latest one changed."""
        return (*self.attempts[:-1], structs.replace(self.attempt, **changes))


class TaskSummary(Struct, frozen=True, kw_only=True):
    """A task as lists show it: no attempts, and no texts in its results. The fields are those of `Task`."""

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
    """The input of a task for one of its choices: the task's own, with that choice's params laid over it."""
    laid_over = {**task_input, **choice.params}
    return {name: value for name, value in laid_over.items() if value is not None}
