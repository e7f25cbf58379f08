"""
Quotas: how many tasks there may be before a new one is refused. A gate makes a task wait; a quota turns it away.

A task *counts* in each quota that its record names, from before it is stored. Counting is done by an adapter of
`Quotas`, whose state may be lost at any time: the records bring it back.
"""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from core.task_states import State
from core.tasks import Task


class Counting(StrEnum):
    """Which tasks a quota counts."""

    OPEN = "open"
    """Those that have not ended: where slots are limited, and so the tasks that may have or await one."""
    WAITING = "waiting"
    """Those that are pending: where slots are not limited, and only waiting is."""

    def counts(self, state: State) -> bool:
        """Whether a task in that state counts."""
        return state is State.PENDING if self is Counting.WAITING else not state.final


class Quota(Struct, frozen=True, kw_only=True):
    """
    A bound on tasks.

    Attributes:
        name: Such as "open:provider:volcengine" or "waiting:key:42"; see `quota_name`.
        most: At most so many tasks count in it.
    """

    name: str
    most: int


class Counted(Struct, frozen=True, kw_only=True):
    """
    A task that counts in a quota.

    Attributes:
        until: When it is counted no longer, should nobody say that it has ended.
    """

    quota: str
    task_id: str
    until: datetime


class Quotas(Protocol):
    """Shared by all processes. Every method raises `QueueUnavailable` where Redis cannot be reached."""

    async def take(self, task_id: str, quotas: Sequence[Quota], *, until: datetime) -> Quota | None:
        """
        Count a task in all of the quotas, or in none: answers the first one that is full, or None where it counts.

        Atomic. A task that counts already does so once, and is not refused.
        """

    async def give_back(self, task_id: str, quotas: Sequence[str]) -> None:
        """Count it in those no longer; where it does not, nothing happens."""

    async def restore(self, counted: Sequence[Counted]) -> None:
        """Count what the records show, however full a quota is."""

    async def counted(self) -> Mapping[str, Set[str]]:
        """The ids of the tasks that count, by quota; for comparing with the records."""


def quota_name(counting: Counting, kind: str, whose: str) -> str:
    """The name of a quota: `kind` is "provider" or "key"."""
    return f"{counting}:{kind}:{whose}"


def counting_of(name: str) -> Counting:
    """Which tasks the quota of that name counts."""
    return Counting(name.partition(":")[0])


def quotas_of(names: Sequence[str], state: State) -> Sequence[str]:
    """Those of a task's quotas in which it counts in that state."""
    return [name for name in names if counting_of(name).counts(state)]


def quotas_remaining(task: Task) -> Sequence[str]:
    """The quotas in which a task counts no longer, now that it has come to the state that it is in."""
    if task.state.final:
        return task.quotas
    if task.state is State.SUBMITTING:
        return [name for name in task.quotas if counting_of(name) is Counting.WAITING]
    return ()
