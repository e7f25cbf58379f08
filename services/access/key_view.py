"""API key as operators see it: without its secret, and without anything from which it could be derived."""

from datetime import datetime

from msgspec import Struct

from core.callers import Role
from core.keys import (
    ApiKey,
    KeyState,
)


class KeyView(Struct, frozen=True, kw_only=True):
    """
    A key as operators see it.

    Attributes:
        state: Active, expired or revoked.
        rotated_from: The key that it replaced.
        rotated_to: The key that replaced it.
    """

    id: str
    access_key: str
    owner: str
    role: Role
    description: str
    state: KeyState
    created: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    rotated_from: str | None
    rotated_to: str | None
    requests_per_minute: int | None
    max_concurrent: int | None
    max_queue: int | None


def key_view(key: ApiKey, now: datetime) -> KeyView:
    """A key as operators see it at that time."""
    return KeyView(
        id=key.id,
        access_key=key.access_key,
        owner=key.owner,
        role=key.role,
        description=key.description,
        state=key.state(now),
        created=key.created,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        rotated_from=key.rotated_from,
        rotated_to=key.rotated_to,
        requests_per_minute=key.limits.requests_per_minute,
        max_concurrent=key.limits.max_concurrent,
        max_queue=key.limits.max_queue,
    )
