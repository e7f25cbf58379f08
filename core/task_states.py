"""Task states: the status that callers see, the phases of `processing`, and the table of allowed moves."""

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Final


class Status(StrEnum):
    """The status of a task in the API."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class State(StrEnum):
    """The state of a task: a status, or a phase of `processing`."""

    PENDING = "pending"
    """
    Waits to be submitted.

    Moved here by: the create; the worker, where an attempt was certainly not accepted or a retryable generation
    failed; an explicit retry.
    Crash: nothing is lost; the wake, or the reconciler after `RECONCILE_S`, brings a worker.
    Lasts: until a gate has a free slot, or until the deadline.
    """
    SUBMITTING = "submitting"
    """
    A worker calls the vendor. Stored, with owner and lease, before the call.

    Moved here by: the worker that submits.
    Crash: the outcome is unknown. When the lease has expired the task fails with `outcome_unknown`; it is submitted
    again only where the model says `idempotent_submit`.
    Lasts: as long as the vendor takes to respond, at most until the deadline; the lease is renewed meanwhile.
    """
    WAITING = "waiting"
    """
    The vendor accepted the attempt and returned an operation; no lease is held between polls.

    Moved here by: the worker whose submit the vendor accepted, and each poll that is saved.
    Crash: any worker polls again, which costs nothing.
    Lasts: until a poll brings the outcome, at most until the deadline.
    """
    STORING = "storing"
    """
    The vendor is done; a worker copies the results. The vendor's links are stored already.

    Moved here by: the worker that fetched the outcome.
    Crash: when the lease has expired, another worker copies again; each such loss counts as a failed copy.
    Lasts: until all results are copied, or until copies have failed too often: then the vendor's links are the result.
    """
    COMPLETED = "completed"
    """
    Final: the results are stored, or are the vendor's links with their expiry.

    Moved here by: the worker that fetched the outcome or copied the results.
    Crash: nothing is lost; files of the result store belong to the task until it is deleted.
    Lasts: until the task is deleted.
    """
    FAILED = "failed"
    """
    Final, except for an explicit retry; `failure` says why.

    Moved here by: the worker that met the failure, the deadline or an expired lease of a submit.
    Crash: nothing is lost.
    Lasts: until the task is deleted, or until a retry request moves it back to `pending`.
    """
    CANCELLED = "cancelled"
    """
    Final: the caller asked for it; `failure` says whether the vendor stopped.

    Moved here by: the API, where nothing was submitted yet; otherwise the worker that next handles the task.
    Crash: nothing is lost.
    Lasts: until the task is deleted.
    """

    @cached_property
    def status(self) -> Status:
        """The status that callers see."""
        return _STATUSES[self]

    @cached_property
    def final(self) -> bool:
        """Whether the state only changes by an explicit retry."""
        return self in FINAL


PHASES: Final = frozenset({State.SUBMITTING, State.WAITING, State.STORING})
FINAL: Final = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})
OPEN: Final = frozenset(State) - FINAL
_STATUSES: Final = {state: Status.PROCESSING if state in PHASES else Status(state.value) for state in State}
MOVES: Final[Mapping[State, frozenset[State]]] = {
    State.PENDING: frozenset({State.PENDING, State.SUBMITTING, State.FAILED, State.CANCELLED}),
    State.SUBMITTING: frozenset(
        {State.WAITING, State.STORING, State.COMPLETED, State.FAILED, State.PENDING, State.CANCELLED}
    ),
    State.WAITING: frozenset(
        {State.WAITING, State.STORING, State.COMPLETED, State.FAILED, State.PENDING, State.CANCELLED}
    ),
    State.STORING: frozenset({State.STORING, State.COMPLETED, State.FAILED}),
    State.FAILED: frozenset({State.PENDING}),
    State.COMPLETED: frozenset(),
    State.CANCELLED: frozenset(),
}


class IllegalMove(Exception):
    """The table of moves does not contain this move: a defect of the server."""
