"""Callers: the role, owner and limits of the API key that makes a request."""

from enum import StrEnum
from typing import Final

from msgspec import Struct


class Role(StrEnum):
    """
    The permissions of an API key. Each role includes the permissions of the roles before it.

    `app` works with the tasks of its owner; `operator` works with all tasks and switches providers; `admin` also
    manages keys and users and reads the audit log.
    """

    APP = "app"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        """Whether this role has the permissions of the other one."""
        return _RANKS[self] >= _RANKS[other]


_RANKS: Final = {role: rank for rank, role in enumerate(Role)}


class KeyLimits(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Limits of one API key. None stands for the limit that the settings give to every key.

    Attributes:
        requests_per_minute: Requests of any kind per minute. Further requests get status 429.
        max_concurrent: Submissions open at vendors at the same time. Further tasks wait in the wait queue.
        max_queue: Tasks in that wait queue. Further creates get status 429.
    """

    requests_per_minute: int | None = None
    max_concurrent: int | None = None
    max_queue: int | None = None

    def over(self, others: "KeyLimits") -> "KeyLimits":
        """These limits, with `others` in place of each one that is None."""
        return KeyLimits(
            requests_per_minute=_first(self.requests_per_minute, others.requests_per_minute),
            max_concurrent=_first(self.max_concurrent, others.max_concurrent),
            max_queue=_first(self.max_queue, others.max_queue),
        )


def _first(one: int | None, other: int | None) -> int | None:
    return other if one is None else one


class Caller(Struct, frozen=True, kw_only=True):
    """
    The caller of a request.

    Attributes:
        role: Permissions of the key.
        owner: Owner of the tasks that the caller creates. An `app` sees only tasks of its owner. Rotation keeps the
            owner. None without authentication (`AUTH=none`).
        key_id: Id of the key.
        access_key: Public half of the key.
        limits: Limits of the key.
        replay: Hash of the signature on this request; at most one task is created with it. None if the request is not
            signed.
    """

    role: Role
    owner: str | None = None
    key_id: str | None = None
    access_key: str | None = None
    limits: KeyLimits = KeyLimits()
    replay: str | None = None

    @property
    def confined_to(self) -> str | None:
        """The only owner whose tasks the caller sees, or None if the caller sees all tasks."""
        return (self.owner or "") if self.role is Role.APP else None

    def sees(self, owner: str | None) -> bool:
        """Whether the caller sees tasks of this owner."""
        return self.confined_to in {None, owner}


ANYBODY: Final = Caller(role=Role.ADMIN)
"""The caller of every request with `AUTH=none`."""
