"""How a worker takes wakes from the queue: claimed under a lock, and ended or given back."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from core.priorities import Priority


class Claim(Struct, frozen=True, kw_only=True):
    """
    A wake that is this worker's until its lock runs out.

    Attributes:
        id: The queue's name of the wake.
        priority: Which queue it is from.
        job: What is to be done, as the queue stores it.
    """

    id: str
    priority: Priority
    job: bytes


class ClaimEnding(Struct, frozen=True, kw_only=True):
    """
    What became of a claim.

    Attributes:
        claim: Which.
        again_in_s: When it is due once more, in seconds; None where it is done.
    """

    claim: Claim
    again_in_s: float | None = None


class TakenClaims(Struct, frozen=True, kw_only=True):
    """
    What a look into the queue brought.

    Attributes:
        claims: New ones, in the order in which they are to be started.
        next_in_s: When the earliest of what is left is due, in seconds; None where nothing is left.
    """

    claims: tuple[Claim, ...]
    next_in_s: float | None


class Claims(Protocol):
    """
    The queue as one worker sees it.

    No two workers hold the same claim at once, and a claim whose worker is gone is due again when its lock runs out.
    Every method raises `QueueUnavailable` where Redis cannot be reached; what was asked for may be done all the same.
    """

    @property
    def lock_s(self) -> float:
        """How long a claim lasts that is not held on to, in seconds."""

    @property
    def idle_s(self) -> float:
        """How long at most an idle worker may go without a look, in seconds."""

    async def take(self, most: int, *, ended: Sequence[ClaimEnding] = ()) -> TakenClaims:
        """End claims and take up to `most` due wakes, by weights, all at once. Ending a claim again does no harm."""

    async def hold(self, claims: Sequence[Claim]) -> None:
        """Lock these claims for another `lock_s` from now, where they are still this worker's."""

    async def notified(self) -> bool:
        """Wait until there may be something to take, at most `idle_s`, and tell whether there may."""
