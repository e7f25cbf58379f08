"""
Admission to a vendor: how many submissions are open at once, how fast they follow each other, whether the vendor is up.

A submission is *held* in its gates from before the submit until its outcome. Where a gate is full, tasks stand in its
*line*, first come first served within their priority. State is kept by an adapter of `Gates` and may be lost at any
time: the task records bring it back.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from core.priorities import Priority


class Gate(Struct, frozen=True, kw_only=True):
    """
    A bound on open submissions.

    Attributes:
        name: Such as "provider:volcengine", "model:volcengine/jimeng_t2i_v40" or "user:42".
        limit: At most so many held at once; None where it is learned from what the vendor takes, if `learns`, or none.
        learns: Whether "too many at once" from the vendor lowers it.
    """

    name: str
    limit: int | None = None
    learns: bool = False


class Ticket(Struct, frozen=True, kw_only=True):
    """
    What a task needs to be submitted.

    Attributes:
        task_id: Whose it is; a task holds each of its gates once.
        account: The vendor account whose circuit and spacing apply, such as "volcengine".
        gates: All of them must have room.
        priority: Its class in a line.
        since: Its place within that class: when it was created.
        spacing_s: Least time between two submits of the account, in seconds.
        held_until: When the hold is dropped by itself, should nobody end it.
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
        refusal: None where it may; its gates are then held.
        gate: The full gate in whose line the task now stands.
        again_at: When to ask again. A task in a line is woken by `Gates.leave` of another; this is for the case that
            the wake is lost, and to keep the place: who asks much later is taken for dead and is woken only once more.
        wakes: Ids of tasks that may enter now instead, as this one waits for another gate than before; wake them.
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
    """What a submission, or a poll, showed about the vendor."""

    AVAILABLE = "well"
    """It took the submission: a learned limit grows, the circuit closes."""
    THROTTLED = "crowded"
    """Too many at once: a learned limit falls to what was held beside this one."""
    UNAVAILABLE = "away"
    """It could not be reached or broke down: counts toward opening the circuit."""
    UNKNOWN = "nothing"
    """Nothing is to be learned from it, such as a refused input."""


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
    An account's circuit as operators see it.

    Attributes:
        state: closed, open or half_open.
        failures: In a row.
        open_until: When a probe is let through next, or None.
    """

    account: str
    state: str
    failures: int
    open_until: datetime | None = None


class Gates(Protocol):
    """
    Shared by all workers. Every method raises `QueueUnavailable` where Redis cannot be reached, and is atomic.
    """

    async def enter(self, ticket: Ticket) -> Admission:
        """
        Hold all gates of the ticket, or none.

        Granted where the circuit lets it through, the spacing has passed and every gate has room for it and for those
        who stand before it in that gate's line. Where a gate is full the task stands in the line of the first such
        gate (and in no other). Where only the spacing is missing it stands in the line of each gate that has a limit,
        so that nobody passes it. Asking again keeps the place; asking while held is granted and prolongs the hold;
        asking for other gates or another account gives up the former ones.

        An open circuit takes no place away, and gives none. A place follows from priority and `since`: a task that
        leaves a line, say to try a fallback, and comes back has lost nothing.
        """

    async def report(self, ticket: Ticket, vendor_status: VendorStatus) -> Sequence[str]:
        """
        Tell what a submit or a poll showed; the hold goes on.

        Answers the ids of tasks that may enter now, because a limit grew or the circuit closed; wake them.
        """

    async def leave(self, ticket: Ticket, vendor_status: VendorStatus | None = None) -> Sequence[str]:
        """
        End the hold, or the place in a line, and answer the ids of tasks that may enter now; wake them.

        With `vendor_status`, as `report` first.

        They are as many for each gate as there is room in it, and at most 100.
        """

    async def restore(self, tickets: Sequence[Ticket]) -> None:
        """Hold for tasks that the records show as submitted, whatever the limits: after the state was lost."""

    async def holders(self) -> Sequence[str]:
        """Ids of the tasks that hold any gate, for comparing with the records."""

    async def next_waiting(self) -> Sequence[str]:
        """Ids of tasks at the head of a line whose gate has room, or who did not ask again in time; wake them."""

    async def in_wait_queue(self, task_ids: Sequence[str]) -> Sequence[bool]:
        """Which of the tasks stand in a line; the reconciler leaves those alone."""

    async def forget(self, task_id: str) -> Sequence[str]:
        """As `leave`, by id alone: for a task that is gone. Slower."""

    async def views(self) -> tuple[Sequence[GateView], Sequence[CircuitBreakerView]]:
        """All gates and circuits, for operators and metrics."""
