"""The evidence of a run: the values that the invariants are checked against."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from core.tasks import Task
from tests.chaos.outages import Span, longest_uninterrupted_s


class CreatedTask(Struct, frozen=True, kw_only=True):
    """A create that the API answered with 201."""

    task_id: str
    prompt: str
    at: datetime


class Version(Struct, frozen=True, kw_only=True):
    """A task after one write; `task` is None after its delete."""

    at: datetime
    task: Task | None


class ClientCall(Struct, frozen=True, kw_only=True):
    """
    A call of the client that changes a task.

    Attributes:
        call: cancel, retry or delete.
        status: HTTP status of the response; 0 without a response: the call may have taken effect.
        answer: The outcome in the response to a cancel, such as "cancelled".
    """

    task_id: str
    call: str
    status: int
    answer: str = ""
    at: datetime

    @property
    def may_have_taken_effect(self) -> bool:
        """Also true for a 5xx: a database that becomes unavailable during a write may have done it."""
        return self.status in {0, 200} or self.status >= 500


class VendorCall(Struct, frozen=True, kw_only=True, order=True):
    """A call that the simulator received. `at` is Unix time in seconds."""

    at: float
    kind: str
    prompt: str
    accepted: bool
    fault: str | None


class Submits(Struct, frozen=True, kw_only=True):
    """How many submits of a prompt the simulator received, and how many it accepted."""

    received: int = 0
    accepted: int = 0


class RedisKey(Struct, frozen=True, kw_only=True):
    """
    A key in Redis.

    Attributes:
        ttl_ms: Milliseconds until it expires; -1 without expiry.
        members: For a wake queue: the time at which each wake is due, as Unix time in seconds.
    """

    name: str
    ttl_ms: int
    members: Mapping[str, float] = {}


class TimeLimits(Struct, frozen=True, kw_only=True):
    """
    How late the product may be.

    Attributes:
        grace_s: Longest time from a task's deadline to its end, and from the expiry of a lease to its replacement, in
            seconds. Only time without an outage counts.
        storing_s: Additional time for a task in the state `storing`, in seconds.
        lock_s: How long a killed worker's wakes stay locked in the queue, in seconds.
    """

    grace_s: float
    storing_s: float = 60.0
    lock_s: float = 60.0


class Evidence(Struct, frozen=True, kw_only=True):
    """
    Everything that the invariants check.

    Attributes:
        now: When it was collected.
        created: Creates answered with 201.
        client_calls: The client's cancels, retries and deletes.
        tasks: The stored tasks, by id.
        histories: Every write, by task id, in order.
        submits: The simulator's counts, by prompt.
        calls: The simulator's calls.
        keys: All keys in Redis.
        holders: Ids of tasks that hold a slot of a gate.
        wait_queues: Lengths of the gates' wait queues, by gate.
        files: Names in the result store.
        unexpected_exits: Processes that exited without an injected fault, with the end of their output.
        outages: When a database or every worker was unavailable.
    """

    now: datetime
    limits: TimeLimits
    created: Sequence[CreatedTask] = ()
    client_calls: Sequence[ClientCall] = ()
    tasks: Mapping[str, Task] = {}
    histories: Mapping[str, Sequence[Version]] = {}
    submits: Mapping[str, Submits] = {}
    calls: Sequence[VendorCall] = ()
    keys: Sequence[RedisKey] = ()
    holders: Sequence[str] = ()
    wait_queues: Mapping[str, int] = {}
    files: frozenset[str] = frozenset()
    unexpected_exits: Sequence[str] = ()
    outages: Sequence[Span] = ()

    def late_s(self, due: datetime, until: datetime) -> float:
        """The longest time without an outage between the two moments, in seconds."""
        return longest_uninterrupted_s(due, until, self.outages)

    def history(self, task_id: str) -> Sequence[Version]:
        """Every write to the task, in order."""
        return self.histories.get(task_id, ())

    def last_known(self) -> Mapping[str, Task]:
        """Every task of the run in its last version; a deleted task as before its delete."""
        last: dict[str, Task] = {}
        for task_id, versions in self.histories.items():
            for version in versions:
                if version.task is not None:
                    last[task_id] = version.task
        return {**last, **self.tasks}

    def deletable(self) -> frozenset[str]:
        """Ids of tasks that a delete of the client may have deleted."""
        return frozenset(
            each.task_id for each in self.client_calls if each.call == "delete" and each.may_have_taken_effect
        )


class Violation(Struct, frozen=True, kw_only=True):
    """
    An invariant that does not hold.

    Attributes:
        invariant: Its name.
        what: One sentence.
        task_id: The task that violates it, or None.
    """

    invariant: str
    what: str
    task_id: str | None = None


def indented_json(value: Any) -> str:
    """A value as indented JSON, for the report."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
