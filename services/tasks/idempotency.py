"""Use case: the same request is done once, however often it comes."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
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
"""A key means its first request for so long."""

_TRIES: Final = 5


class Taken(Struct, frozen=True, kw_only=True):
    """
    The task of a request.

    Attributes:
        replayed: Whether it was there already.
    """

    task: Task
    replayed: bool


class Once:
    """
    Does what a caller's key names once.

    Args:
        tasks: They keep the keys: what was done and that it was done are one write.
        clock: Time.
    """

    def __init__(self, tasks: TaskRepository, clock: Clock) -> None:
        self._tasks = tasks
        self._clock = clock

    def same(self, key: str, *, caller: Caller, route: str, body_hash: str) -> Idempotency:
        """
        What makes a request of that caller with that key the same request.

        Args:
            key: Visible ASCII characters.
            caller: Whose it is; those without a key of the server share theirs.
            route: For what; one word.
            body_hash: SHA-256 of the body, in hex.
        """
        whose = caller.owner or "anonymous"
        return Idempotency(key=f"{whose} {route} {key}", body_hash=body_hash, until=self._clock() + KEPT)

    async def __call__(self, same: Idempotency | None, create: Callable[[], Awaitable[Task]]) -> Taken:
        """
        The task that the request created before, whatever became of it, or a new one.

        Args:
            same: What makes the request the same request; None where its caller does not say.
            create: Creates the task, with `same`.

        Raises:
            IdempotencyKeyReused: The key belongs to a request with another body.
            ReplayedRequest: Its signature created something else, with another key or none.
            Stale: Others kept taking the key, and it was gone each time when it was looked for.
        """
        if same is None:
            return Taken(task=await create(), replayed=False)
        refused: PolyrelayError | None = None
        for _ in range(_TRIES):
            if (found := await self._found(same)) is not None:
                return Taken(task=_checked(found, same), replayed=True)
            if refused is not None:
                raise refused
            try:
                return Taken(task=await create(), replayed=False)
            except IdempotencyKeyTaken:
                continue
            except (ComeBackLater, ReplayedRequest) as error:
                # Perhaps the first of these requests took the last place, or has the same signature.
                refused = error
        raise Stale("other requests with that Idempotency-Key came and went; try again")

    async def _found(self, same: Idempotency) -> Task | None:
        try:
            task = await self._tasks.created_with(same.key)
        except TaskNotFound:
            return None
        now = self._clock()
        if task.idempotency is None or task.idempotency.until > now:
            return task
        await self._tasks.free_key(same.key, before=now)
        return None


def _checked(task: Task, same: Idempotency) -> Task:
    if task.idempotency is not None and task.idempotency.body_hash != same.body_hash:
        message = "Used within the last 24 hours with another body. Allowed: the same body, or another key."
        raise IdempotencyKeyReused([FieldProblem(field=HEADER, message=message)])
    return task
