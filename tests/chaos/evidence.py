"""What is known after a run: values that the invariants are checked on."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from core.tasks import Task
from tests.chaos.outages import Span, longest_calm_s


class Receipt(Struct, frozen=True, kw_only=True):
    """A task that the API answered 201 for."""

    task_id: str
    prompt: str
    at: datetime


class Version(Struct, frozen=True, kw_only=True):
    """A task as it stood after one write. None where it was removed."""

    at: datetime
    task: Task | None


class Wish(Struct, frozen=True, kw_only=True):
    """
    A call on a task that the client made.

    Attributes:
        call: cancel, retry or delete.
        status: HTTP status of the answer; 0 where there was none, so that it may have been done.
        answer: What was answered, such as the outcome of a cancel.
    """

    task_id: str
    call: str
    status: int
    answer: str = ""
    at: datetime

    @property
    def may_be_done(self) -> bool:
        """Whether it was done, or nobody knows: a database that goes away answers 503 for a write that it did."""
        return self.status in {0, 200} or self.status >= 500


class VendorCall(Struct, frozen=True, kw_only=True, order=True):
    """A call that the simulator got. `at` is Unix time in seconds."""

    at: float
    kind: str
    prompt: str
    accepted: bool
    fault: str | None


class Submits(Struct, frozen=True, kw_only=True):
    """How often a prompt was submitted to the simulator, and how often that took effect."""

    received: int = 0
    accepted: int = 0


class RedisKey(Struct, frozen=True, kw_only=True):
    """
    A key that was found in Redis.

    Attributes:
        ttl_ms: Milliseconds that it still lives; -1 for ever.
        members: Of a queue, each wake with the time for which it is, Unix time in seconds.
    """

    name: str
    ttl_ms: int
    members: Mapping[str, float] = {}


class Rules(Struct, frozen=True, kw_only=True):
    """
    What counts as late.

    Attributes:
        grace_s: So long after its deadline a task may end, and after it ran out a lease may stand, in seconds. Only
            a stretch without outage counts.
        storing_s: A task that is storing its results may take so much longer, in seconds.
        lock_s: A killed worker's wakes stay in the queue for so long, in seconds.
    """

    grace_s: float
    storing_s: float = 60.0
    lock_s: float = 60.0


class Evidence(Struct, frozen=True, kw_only=True):
    """
    Everything that the invariants look at.

    Attributes:
        now: When it was gathered.
        receipts: The 201s.
        wishes: What else the client asked for.
        tasks: The record, by id.
        histories: Every write, by task, in order.
        submits: The simulator's counts, by prompt.
        calls: The simulator's calls.
        keys: All of Redis.
        holders: Tasks that hold a gate.
        lines: Tasks that wait in a gate's line, by gate.
        files: Names in the result store.
        deaths: Processes that ended without a blow, with what they said.
        outages: When a database or every worker was away.
    """

    now: datetime
    rules: Rules
    receipts: Sequence[Receipt] = ()
    wishes: Sequence[Wish] = ()
    tasks: Mapping[str, Task] = {}
    histories: Mapping[str, Sequence[Version]] = {}
    submits: Mapping[str, Submits] = {}
    calls: Sequence[VendorCall] = ()
    keys: Sequence[RedisKey] = ()
    holders: Sequence[str] = ()
    lines: Mapping[str, int] = {}
    files: frozenset[str] = frozenset()
    deaths: Sequence[str] = ()
    outages: Sequence[Span] = ()

    def late_s(self, due: datetime, until: datetime) -> float:
        """The longest stretch without outage between the two moments, in seconds."""
        return longest_calm_s(due, until, self.outages)

    def history(self, task_id: str) -> Sequence[Version]:
        """Every write to that task, in order."""
        return self.histories.get(task_id, ())

    def last_known(self) -> Mapping[str, Task]:
        """Every task that ever was, as it stood last; a removed one as before its removal."""
        last: dict[str, Task] = {}
        for task_id, versions in self.histories.items():
            for version in versions:
                if version.task is not None:
                    last[task_id] = version.task
        return {**last, **self.tasks}

    def removable(self) -> frozenset[str]:
        """Tasks that the client asked to remove, unless that was refused."""
        return frozenset(
            cancellation_request.task_id
            for cancellation_request in self.wishes
            if cancellation_request.call == "delete" and cancellation_request.may_be_done
        )


class Violation(Struct, frozen=True, kw_only=True):
    """
    An invariant that does not hold.

    Attributes:
        invariant: Its name.
        what: One sentence.
        task_id: The task that shows it, or None.
    """

    invariant: str
    what: str
    task_id: str | None = None


def document(value: Any) -> str:
    """A value as indented JSON, for people."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
