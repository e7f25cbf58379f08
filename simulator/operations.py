"""Generations that a vendor has accepted, and the phase each is in."""

import heapq
import secrets
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

import msgspec

from simulator.faults import GENERATION_FAULTS, Backwards, Expired, FailGeneration, Fault, NeverEnds

QUEUED_SHARE = 0.25
KEPT = 200_000


class Phase(StrEnum):
    """Where an operation is; each vendor has its own words for them."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Operation(msgspec.Struct, kw_only=True):
    """
    One accepted generation.

    Attributes:
        family: The calls it can be queried with; an operation is unknown to the others.
        request: What the vendor module needs to answer queries.
        latency_s: From `created_at` to the end, in seconds.
        fate: The fault that it was born with.
    """

    id: str
    family: str
    kind: str
    model: str
    prompt: str
    request: Any
    created_at: float
    latency_s: float
    fate: Fault | None = None
    cancelled_at: float | None = None

    def share(self, now: float) -> float:
        """How much of it is over, 0.0 to 1.0."""
        if self.latency_s <= 0:
            return 1.0
        return min(max(now - self.created_at, 0.0) / self.latency_s, 1.0)

    def phase(self, now: float, fault: Fault | None = None) -> Phase:
        """The phase to show; `fault` is one asked for this query alone."""
        if self.cancelled_at is not None:
            return Phase.CANCELLED
        share, effect = self.share(now), self.effect(fault)
        if share < QUEUED_SHARE or isinstance(fault, Backwards):
            return Phase.QUEUED
        if isinstance(effect, Backwards) and 0.5 <= share < 1.0:
            return Phase.QUEUED
        if share < 1.0 or isinstance(effect, NeverEnds):
            return Phase.RUNNING
        return self._ending(effect)

    def effect(self, fault: Fault | None) -> Fault | None:
        """The fault that shapes this answer: the query's own where it is one of generations, else the fate."""
        return fault if isinstance(fault, GENERATION_FAULTS) else self.fate

    def _ending(self, fault: Fault | None) -> Phase:
        if isinstance(fault, Expired):
            return Phase.EXPIRED
        return Phase.FAILED if isinstance(fault, FailGeneration) else Phase.SUCCEEDED

    def ended_at(self) -> float:
        """When it ends, or was cancelled; Unix time in seconds."""
        return self.created_at + self.latency_s if self.cancelled_at is None else self.cancelled_at


class Operations:
    """The accepted operations, newest last; the oldest are forgotten beyond `KEPT`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_id: dict[str, Operation] = {}
        self._ends: list[tuple[float, str]] = []
        self._never: set[str] = set()
        self.max_open = 0

    def add(self, operation: Operation) -> None:
        """Keep a new operation."""
        self._by_id[operation.id] = operation
        if len(self._by_id) > KEPT:
            del self._by_id[next(iter(self._by_id))]
        if isinstance(operation.fate, NeverEnds):
            self._never.add(operation.id)
        else:
            heapq.heappush(self._ends, (operation.ended_at(), operation.id))
        self.max_open = max(self.max_open, self.open())

    def find(self, family: str, operation_id: str) -> Operation | None:
        """The operation, if it belongs to this family."""
        operation = self._by_id.get(operation_id)
        return operation if operation is not None and operation.family == family else None

    def newest(self, family: str) -> Iterator[Operation]:
        """The family's operations, newest first."""
        return (operation for operation in reversed(self._by_id.values()) if operation.family == family)

    def cancel(self, operation: Operation) -> None:
        """It is over without a result."""
        operation.cancelled_at = self._clock()
        self._never.discard(operation.id)
        self._ends = [entry for entry in self._ends if entry[1] != operation.id]
        heapq.heapify(self._ends)

    def remove(self, operation: Operation) -> None:
        """Forget it."""
        self._by_id.pop(operation.id, None)

    def open(self) -> int:
        """How many are queued or running now."""
        now = self._clock()
        while self._ends and self._ends[0][0] <= now:
            heapq.heappop(self._ends)
        return len(self._ends) + len(self._never)

    def total(self) -> int:
        """How many are known."""
        return len(self._by_id)


def decimal_id() -> str:
    """A task id as Volcengine gives them: 19 digits."""
    return str(7 * 10**18 + secrets.randbelow(10**18))
