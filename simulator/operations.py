"""Operations: accepted generations, and the phase of each at a given time."""

import heapq
import secrets
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

import msgspec

from simulator.faults import GENERATION_FAULTS, Backwards, Expired, FailGeneration, Fault, NeverEnds

QUEUED_SHARE = 0.25
MOST_KEPT = 200_000


class Phase(StrEnum):
    """The phase of an operation. Each vendor has its own names for them."""

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
        family: Family of calls that can query it; other calls do not find it.
        request: Data that the vendor module needs to answer queries.
        latency_s: Time from `created_at` to the end, in seconds.
        fault: The fault of the submit that started it.
    """

    id: str
    family: str
    kind: str
    model: str
    prompt: str
    request: Any
    created_at: float
    latency_s: float
    fault: Fault | None = None
    cancelled_at: float | None = None

    def share(self, now: float) -> float:
        """The share of its time that has passed, 0.0 to 1.0."""
        if self.latency_s <= 0:
            return 1.0
        return min(max(now - self.created_at, 0.0) / self.latency_s, 1.0)

    def phase(self, now: float, fault: Fault | None = None) -> Phase:
        """The phase at the time `now`. `fault` is the fault of this query only."""
        if self.cancelled_at is not None:
            return Phase.CANCELLED
        share, effect = self.share(now), self.effect(fault)
        if share < QUEUED_SHARE or isinstance(fault, Backwards):
            return Phase.QUEUED
        if isinstance(effect, Backwards) and 0.5 <= share < 1.0:
            return Phase.QUEUED
        if share < 1.0 or isinstance(effect, NeverEnds):
            return Phase.RUNNING
        return self._final_phase(effect)

    def effect(self, fault: Fault | None) -> Fault | None:
        """The fault for this answer: a generation fault of the query, else the fault of the operation."""
        return fault if isinstance(fault, GENERATION_FAULTS) else self.fault

    def _final_phase(self, fault: Fault | None) -> Phase:
        if isinstance(fault, Expired):
            return Phase.EXPIRED
        return Phase.FAILED if isinstance(fault, FailGeneration) else Phase.SUCCEEDED

    def ended_at(self) -> float:
        """When it ends or was cancelled, as Unix time in seconds."""
        return self.created_at + self.latency_s if self.cancelled_at is None else self.cancelled_at


class Operations:
    """The accepted operations, newest last. At most `MOST_KEPT` are kept; the oldest are deleted."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_id: dict[str, Operation] = {}
        self._end_times: list[tuple[float, str]] = []
        self._endless: set[str] = set()
        self.max_open = 0

    def add(self, operation: Operation) -> None:
        """Add a new operation."""
        self._by_id[operation.id] = operation
        if len(self._by_id) > MOST_KEPT:
            del self._by_id[next(iter(self._by_id))]
        if isinstance(operation.fault, NeverEnds):
            self._endless.add(operation.id)
        else:
            heapq.heappush(self._end_times, (operation.ended_at(), operation.id))
        self.max_open = max(self.max_open, self.open())

    def find(self, family: str, operation_id: str) -> Operation | None:
        """The operation with this id, or None if it is unknown or of another family."""
        operation = self._by_id.get(operation_id)
        return operation if operation is not None and operation.family == family else None

    def newest(self, family: str) -> Iterator[Operation]:
        """The operations of the family, newest first."""
        return (operation for operation in reversed(self._by_id.values()) if operation.family == family)

    def cancel(self, operation: Operation) -> None:
        """End the operation without a result."""
        operation.cancelled_at = self._clock()
        self._endless.discard(operation.id)
        self._end_times = [entry for entry in self._end_times if entry[1] != operation.id]
        heapq.heapify(self._end_times)

    def delete(self, operation: Operation) -> None:
        """Delete the operation."""
        self._by_id.pop(operation.id, None)

    def open(self) -> int:
        """Number of operations that are queued or running now."""
        now = self._clock()
        while self._end_times and self._end_times[0][0] <= now:
            heapq.heappop(self._end_times)
        return len(self._end_times) + len(self._endless)

    def total(self) -> int:
        """Number of stored operations."""
        return len(self._by_id)


def decimal_id() -> str:
    """A task id in the form of Volcengine's: 19 digits."""
    return str(7 * 10**18 + secrets.randbelow(10**18))
