"""Idempotent creates: requests with the same `Idempotency-Key` create one task, however often they are sent."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from core.callers import Caller
from core.clock import Clock
from core.errors import (
    ComeBackLater,
    FieldProblem,
    IdempotencyKeyReused,
    IdempotencyKeyTaken,
    PolyrelayError,
    ReplayedRequest,
    Stale,
    TaskNotFound,
)
from core.task_repository import TaskRepository
from core.tasks import Idempotency, Task

HEADER: Final = "Idempotency-Key"
KEPT: Final = timedelta(hours=24)
"""How long a key belongs to its first request."""

_TRIES: Final = 5


def idempotency_of(key: str, *, caller: Caller, route: str, body_hash: str, now: datetime) -> Idempotency:
    """
    What makes a request of that caller with that key the same request.

    Args:
        key: Visible ASCII characters.
        caller: Each owner has keys of its own; callers without an API key share theirs.
        route: What is created; one word.
        body_hash: SHA-256 of the body, in hex.
        now: The time of the request.
    """
    owner = caller.owner or "anonymous"
    return Idempotency(key=f"{owner} {route} {key}", body_hash=body_hash, until=now + KEPT)


class CreateOutcome(Struct, frozen=True, kw_only=True):
    """
    The task of a create request.

    Attributes:
        replayed: Whether an earlier request with the same idempotency key had created it.
    """

    task: Task
    replayed: bool


class IdempotentCreate:
    """
    Creates one task per idempotency key.

    Args:
        tasks: They store the keys: the task and its key are one write.
        clock: Time.
    """

    def __init__(self, tasks: TaskRepository, clock: Clock) -> None:
        self._tasks = tasks
        self._clock = clock

    async def __call__(self, idempotency: Idempotency, create: Callable[[], Awaitable[Task]]) -> CreateOutcome:
        """
        The task that an earlier request with the key created, in whatever state it is now, or a new one.

        Args:
            idempotency: The key, and the hash of the body.
            create: Creates the task with that `idempotency`; may be called more than once.

        Raises:
            IdempotencyKeyReused: The key belongs to a request with another body.
            ReplayedRequest: The request's signature created another task, with another key or none.
            Stale: Concurrent requests took the key each time, and their task was deleted before it could be read.
        """
        refused: PolyrelayError | None = None
        for _ in range(_TRIES):
            if (found := await self._found(idempotency)) is not None:
                return CreateOutcome(task=_checked(found, idempotency), replayed=True)
            if refused is not None:
                raise refused
            try:
                return CreateOutcome(task=await create(), replayed=False)
            except IdempotencyKeyTaken:
                continue
            except (ComeBackLater, ReplayedRequest) as error:
                # The first of these requests may have taken the last free slot, or have the same signature.
                refused = error
        raise Stale("tasks with that Idempotency-Key were created and deleted meanwhile; try again")

    async def _found(self, idempotency: Idempotency) -> Task | None:
        try:
            task = await self._tasks.created_with(idempotency.key)
        except TaskNotFound:
            return None
        now = self._clock()
        if task.idempotency is None or task.idempotency.until > now:
            return task
        await self._tasks.free_key(idempotency.key, before=now)
        return None


def _checked(task: Task, idempotency: Idempotency) -> Task:
    if task.idempotency is not None and task.idempotency.body_hash != idempotency.body_hash:
        message = "Used within the last 24 hours with another body. Allowed: the same body, or another key."
        raise IdempotencyKeyReused([FieldProblem(field=HEADER, message=message)])
    return task
