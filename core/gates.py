"""
Port of the gates: limits of open submissions, submit intervals and circuit breakers, shared by all workers.

A submission *holds* its gates from before the submit until its outcome. If a gate is full, tasks wait in its *wait
queue*, first come, first served within their priority. An adapter of `Gates` may lose its state at any time: the gate
reconciler restores it from the stored tasks.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from core.priorities import Priority


class Gate(Struct, frozen=True, kw_only=True):
    """
    A limit of open submissions.

    Attributes:
        name: Such as "provider:volcengine", "model:volcengine/jimeng_t2i_v40" or "user:42".
        limit: How many tasks may hold it at once. None: the limit is learned from the vendor's responses if `learns`,
            else there is none.
        learns: Whether a response "too many at once" lowers the limit.
    """

    name: str
    limit: int | None = None
    learns: bool = False


class Ticket(Struct, frozen=True, kw_only=True):
    """
    What a task needs to be submitted.

    Attributes:
        task_id: The task; it holds each of its gates once.
        account: The vendor account whose circuit breaker and submit interval apply, such as "volcengine".
        gates: All of them must have a free slot.
        priority: Its class in a wait queue.
        since: Orders the tasks of that class: when the task was created.
        submit_interval_s: Least time between two submits of the account, in seconds.
        held_until: When the hold expires if nothing ends it.
    """

    task_id: str
    account: str
    gates: tuple[Gate, ...]
    priority: Priority
    since: datetime
    submit_interval_s: float = 0.0
    held_until: datetime


class Refusal(StrEnum):
    """Why a submission must wait."""

    FULL = "full"
    SUBMIT_INTERVAL = "spacing"
    CIRCUIT_BREAKER_OPEN = "circuit_open"


class Admission(Struct, frozen=True, kw_only=True):
    """
    Whether a task may be submitted now.

    Attributes:
        refusal: None if it may; its gates are then held.
        gate: The full gate in whose wait queue the task is.
        again_at: When to enter again. `Gates.leave` of another task wakes a task in a wait queue; this is for a lost
            wake, and keeps the place: a task that enters much later is removed from the queue and woken only once.
        wakes: Ids of tasks that may enter now, because this one waits for another gate than before; wake them.
    """

    refusal: Refusal | None = None
    gate: str | None = None
    again_at: datetime | None = None
    wakes: Sequence[str] = ()

    @property
    def granted(self) -> bool:
        """Whether the task may be submitted."""
        return self.refusal is None


class VendorStatus(StrEnum):
    """What the response to a submit or a poll, or a missing one, shows about the vendor."""

    AVAILABLE = "available"
    """It accepted the submit: a learned limit grows, the circuit breaker closes."""
    THROTTLED = "throttled"
    """Too many at once: a learned limit falls to the number of holds beside this one; the circuit breaker closes."""
    UNAVAILABLE = "unavailable"
    """It could not be reached or failed: counts toward opening the circuit breaker."""
    UNKNOWN = "unknown"
    """The response shows nothing about the vendor, such as a rejected input."""


class GateView(Struct, frozen=True, kw_only=True):
    """
    A gate as operators see it.

    Attributes:
        held: Open submissions.
        queued: Tasks in its wait queue.
        limit: The limit in force, set or learned, or None.
    """

    name: str
    held: int
    queued: int
    limit: float | None


class CircuitBreakerView(Struct, frozen=True, kw_only=True):
    """
    The circuit breaker of an account as operators see it.

    Attributes:
        state: closed, open or half_open.
        failures: Successive failures.
        open_until: When the next probe may be submitted, or None.
    """

    account: str
    state: str
    failures: int
    open_until: datetime | None = None


class Gates(Protocol):
    """
    The gates, shared by all workers. Every method is atomic, and raises `QueueUnavailable` if Redis is unavailable.
    """

    async def enter(self, ticket: Ticket) -> Admission:
        """
        Hold all gates of the ticket, or none.

        Granted if the circuit breaker is not open, the submit interval has passed, and every gate has a slot for the
        task and for those before it in that gate's wait queue. If a gate is full, the task waits in the queue of the
        first such gate, and in no other. If only the submit interval is missing, it waits in the queue of each gate
        that has a limit, so that no other task overtakes it. Entering again keeps the place. Entering while held is
        granted and prolongs the hold. Entering other gates, or those of another account, leaves the former ones.

        While the circuit breaker is open, a task keeps its place in a wait queue and gets no new one. A place follows
        from priority and `since`: a task that leaves a wait queue, for example to try a fallback, and returns has the
        same place.
        """

    async def report(self, ticket: Ticket, vendor_status: VendorStatus) -> Sequence[str]:
        """
        Report what a submit or a poll showed; the hold goes on.

        Returns the ids of tasks that may enter now because a limit grew or the circuit breaker closed; wake them.
        """

    async def leave(self, ticket: Ticket, vendor_status: VendorStatus | None = None) -> Sequence[str]:
        """
        End the hold, or leave the wait queue; returns the ids of tasks that may enter now, for waking them.

        With `vendor_status`, it is reported first, as by `report`. For each gate, at most one id per free slot is
        returned, and at most 100.
        """

    async def restore(self, tickets: Sequence[Ticket]) -> None:
        """Hold the gates of tasks that are stored as submitted, whatever the limits: after the state was lost."""

    async def holders(self) -> Sequence[str]:
        """Ids of the tasks that hold any gate, for comparing them with the stored tasks."""

    async def next_waiting(self) -> Sequence[str]:
        """Ids of the first tasks in queue for a gate with free slots, and of those that are late; wake them."""

    async def in_wait_queue(self, task_ids: Sequence[str]) -> Sequence[bool]:
        """Which of the tasks are in a wait queue; the reconciler does not wake those."""

    async def forget(self, task_id: str) -> Sequence[str]:
        """As `leave`, by the task's id alone: for a deleted task. Slower."""

    async def views(self) -> tuple[Sequence[GateView], Sequence[CircuitBreakerView]]:
        """All gates and circuit breakers, for operators and metrics."""
