"""Port of claims: a worker takes wakes from the queue under a lock, and ends them or gives them back."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from core.priorities import Priority


class Claim(Struct, frozen=True, kw_only=True):
    """
    A wake that is this worker's until its lock expires.

    Attributes:
        id: The queue's name of the wake.
        priority: The queue that it is from.
        job: The job as the queue stores it.
    """

    id: str
    priority: Priority
    job: bytes


class ClaimEnding(Struct, frozen=True, kw_only=True):
    """
    The end of a claim.

    Attributes:
        claim: The claim.
        again_in_s: When its wake is due again, in seconds; None if it is done.
    """

    claim: Claim
    again_in_s: float | None = None


class TakenClaims(Struct, frozen=True, kw_only=True):
    """
    The answer of `Claims.take`.

    Attributes:
        claims: New claims, in the order in which to start them.
        next_in_s: When the earliest of the other wakes is due, in seconds; None if there is none.
    """

    claims: tuple[Claim, ...]
    next_in_s: float | None


class Claims(Protocol):
    """
    The queue as one worker sees it.

    No two workers hold the same claim at once. A claim whose worker crashed is due again when its lock expires. Every
    method raises `QueueUnavailable` if Redis is unavailable; the operation may have been done all the same.
    """

    @property
    def lock_s(self) -> float:
        """How long the lock of a claim lasts without `hold`, in seconds."""

    @property
    def idle_s(self) -> float:
        """The longest time between two calls of `take` by an idle worker, in seconds."""

    async def take(self, most: int, *, ended: Sequence[ClaimEnding] = ()) -> TakenClaims:
        """End claims and take up to `most` due wakes, by weight, in one step. Ending a claim again does nothing."""

    async def hold(self, claims: Sequence[Claim]) -> None:
        """Lock these claims for another `lock_s` from now, if they are still this worker's."""

    async def notified(self) -> bool:
        """Wait for a notification of due wakes, at most `idle_s`. Returns whether one came."""
