"""Who makes a request, what they may do, and within what bounds."""

from enum import StrEnum
from typing import Final

from msgspec import Struct


class Role(StrEnum):
    """
    What a key may do. Each may do what the ones before it may.

    `app` works with its own tasks; `operator` with everybody's, and switches providers; `admin` also with keys, users
    and the audit log.
    """

    APP = "app"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        """Whether this role may do what the other one may."""
        return _RANKS[self] >= _RANKS[other]


_RANKS: Final = {role: rank for rank, role in enumerate(Role)}


class KeyLimits(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    What one key may ask for. None is what the settings say for every key.

    Attributes:
        requests_per_minute: Requests of any kind; beyond it they are answered 429.
        max_concurrent: Its submissions that are open at vendors at once; further tasks wait in line.
        max_queue: Its tasks that may wait for that; beyond it creating is answered 429.
    """

    requests_per_minute: int | None = None
    max_concurrent: int | None = None
    max_queue: int | None = None

    def over(self, others: "KeyLimits") -> "KeyLimits":
        """These, and the others' where these say nothing."""
        return KeyLimits(
            requests_per_minute=_first(self.requests_per_minute, others.requests_per_minute),
            max_concurrent=_first(self.max_concurrent, others.max_concurrent),
            max_queue=_first(self.max_queue, others.max_queue),
        )


def _first(one: int | None, other: int | None) -> int | None:
    return other if one is None else one


class Caller(Struct, frozen=True, kw_only=True):
    """
    Who makes a request.

    Attributes:
        role: What they may do.
        owner: Whose tasks those are that they create, and the only ones that an `app` sees. Keys that follow each
            other by rotation have one owner. None where the server asks nobody who they are (`AUTH=none`).
        key_id: Of the key that was shown.
        access_key: The public half of that key.
        limits: Those of that key.
        replay: Hash of the signature on this request: what it creates is created once. None where nothing is signed.
    """

    role: Role
    owner: str | None = None
    key_id: str | None = None
    access_key: str | None = None
    limits: KeyLimits = KeyLimits()
    replay: str | None = None

    @property
    def confined_to(self) -> str | None:
        """The only owner whose tasks exist for this caller, or None where everybody's do."""
        return (self.owner or "") if self.role is Role.APP else None

    def sees(self, owner: str | None) -> bool:
        """Whether what belongs to that owner exists for this caller."""
        return self.confined_to in {None, owner}


ANYBODY: Final = Caller(role=Role.ADMIN)
"""Who calls a server that asks nobody who they are."""
