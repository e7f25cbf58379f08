"""
Port of the task quotas: limits of tasks above which a new one is refused. A gate makes a task wait; a quota refuses it.

A task *counts* in each quota that it names, from before it is stored. An adapter of `Quotas` counts, and may lose its
state at any time: the quota reconciler restores it from the stored tasks.
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
    """Tasks that have not ended: if slots are limited, and with them the tasks that have one or wait for one."""
    WAITING = "waiting"
    """Pending tasks: if slots are not limited and only waiting is."""

    def counts(self, state: State) -> bool:
        """Whether a task in that state counts."""
        return state is State.PENDING if self is Counting.WAITING else not state.final


class Quota(Struct, frozen=True, kw_only=True):
    """
    A limit of tasks.

    Attributes:
        name: Such as "open:provider:volcengine" or "waiting:key:42"; see `quota_name`.
        limit: How many tasks may count in it.
    """

    name: str
    limit: int


class Counted(Struct, frozen=True, kw_only=True):
    """
    A task that counts in a quota.

    Attributes:
        until: When it stops counting if its end is not reported.
    """

    quota: str
    task_id: str
    until: datetime


class Quotas(Protocol):
    """The quotas, shared by all processes. Every method raises `QueueUnavailable` if Redis is unavailable."""

    async def take(self, task_id: str, quotas: Sequence[Quota], *, until: datetime) -> Quota | None:
        """
        Count a task in all of the quotas, or in none; returns the first full one, or None if the task counts.

        Atomic. A task that counts already is not refused, and counts once.
        """

    async def give_back(self, task_id: str, quotas: Sequence[str]) -> None:
        """Stop counting the task in those quotas; if it does not count, nothing happens."""

    async def restore(self, counted: Sequence[Counted]) -> None:
        """Count stored tasks, however full a quota is."""

    async def counted(self) -> Mapping[str, Set[str]]:
        """The ids of the tasks that count, by quota; for comparing them with the stored tasks."""


def quota_name(counting: Counting, kind: str, whose: str) -> str:
    """The name of a quota: `kind` is "provider" or "key"."""
    return f"{counting}:{kind}:{whose}"


def counting_of(name: str) -> Counting:
    """Which tasks the quota of that name counts."""
    return Counting(name.partition(":")[0])


def quotas_of(names: Sequence[str], state: State) -> Sequence[str]:
    """The quotas out of `names` in which a task counts in that state."""
    return [name for name in names if counting_of(name).counts(state)]


def quotas_to_release(task: Task) -> Sequence[str]:
    """The quotas in which a task no longer counts since it reached its present state."""
    if task.state.final:
        return task.quotas
    if task.state is State.SUBMITTING:
        return [name for name in task.quotas if counting_of(name) is Counting.WAITING]
    return ()
