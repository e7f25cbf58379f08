"""Use cases of API keys: create, read, revoke, rotate, reencrypt."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Final

import structlog
from msgspec import Meta, Struct, structs

from core.callers import KeyLimits, Role
from core.clock import Clock, to_milliseconds
from core.errors import FieldProblem, InvalidRequest, NotPossible, Stale
from core.keys import (
    ApiKey,
    KeyPage,
    KeyQuery,
    Keys,
    KeyState,
    fingerprint_of,
    new_access_key,
    new_key_id,
    new_secret,
)
from core.optimistic import until_first
from core.vault import NO_ENCRYPTION_KEY, Vault
from polyrelay import Secret

LONGEST_GRACE_S: Final = 90 * 86400.0

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Description = Annotated[str, Meta(max_length=200, description="For people: who uses the key, and where.")]
Owner = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._@:-]{0,127}$(?!\n)",
        description="Keys of one owner see the same tasks. By default each key is its own owner.",
    ),
]
ExpiresAt = Annotated[datetime, Meta(tz=True, description="When the key expires; with a time zone.")]

log = structlog.get_logger(__name__)


class KeyOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of a new key."""

    role: Annotated[Role, Meta(description="`app`: its own tasks; `operator`: everybody's; `admin`: also keys.")] = (
        Role.APP
    )
    owner: Owner | None = None
    description: Description = ""
    expires_at: ExpiresAt | None = None
    requests_per_minute: Annotated[Count, Meta(description="Requests of any kind per minute.")] | None = None
    max_concurrent: Annotated[Count, Meta(description="Submissions that are open at once.")] | None = None
    max_queue: Annotated[int, Meta(ge=0, le=1_000_000, description="Tasks that may wait for a submission.")] | None = (
        None
    )


class RotationOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a key is replaced. A field that is not given stays as it is."""

    grace_period_s: Annotated[
        float,
        Meta(ge=0, le=LONGEST_GRACE_S, description="How long the old key works, in seconds; 0 revokes it at once."),
    ] = 0.0
    description: Description | None = None
    expires_at: ExpiresAt | None = None


class NewKey(Struct, frozen=True, kw_only=True):
    """A key that was just created, with its secret, which is not available later."""

    key: ApiKey
    secret: Secret


class Rotated(Struct, frozen=True, kw_only=True):
    """The new key, and the one that it replaces."""

    new: NewKey
    old: ApiKey


class ApiKeys:
    """
    Creates, reads, revokes and rotates API keys.

    Args:
        keys: The stored keys.
        vault: Encrypts their secrets; without one no key can be created.
        clock: Time.
    """

    def __init__(self, keys: Keys, vault: Vault | None, clock: Clock) -> None:
        self._keys = keys
        self._vault = vault
        self._clock = clock

    async def create(self, order: KeyOrder) -> NewKey:
        """
        Create a key.

        Raises:
            InvalidRequest: It would have expired already.
        """
        limits = KeyLimits(
            requests_per_minute=order.requests_per_minute,
            max_concurrent=order.max_concurrent,
            max_queue=order.max_queue,
        )
        made = self._made(
            owner=order.owner,
            role=order.role,
            description=order.description,
            limits=limits,
            expires_at=self._future(order.expires_at),
        )
        await self._keys.add(made.key)
        log.info("key_created", key_id=made.key.id, role=made.key.role.value)
        return made

    async def get(self, key_id: str) -> ApiKey:
        """
        A key, by its id or its access key.

        Raises:
            KeyNotFound: No key has it.
        """
        if key_id.startswith("ak_"):
            return await self._keys.of_access_key(key_id)
        return await self._keys.get(key_id)

    async def page(self, query: KeyQuery) -> KeyPage:
        """One page of keys, newest first."""
        return await self._keys.page(query)

    async def revoke(self, key_id: str) -> ApiKey:
        """
        Revoke a key for good; every process refuses it within 2 s. It may be repeated.

        Raises:
            KeyNotFound: No key has it.
            Stale: Concurrent changes kept winning; try again.
        """
        return await until_first(lambda: self._revoke(key_id))

    async def rotate(self, key_id: str, order: RotationOrder) -> Rotated:
        """
        Create a key with the same owner, role and limits, and revoke or expire the old one.

        The new key is stored before the old one is changed: a crash in between leaves a key whose secret nobody has,
        and the old one as it was.

        Raises:
            KeyNotFound: No key has it.
            NotPossible: It has expired, or was revoked or rotated already.
            InvalidRequest: The new one would have expired already.
            Stale: It was rotated concurrently.
        """
        old, now = await self.get(key_id), self._clock()
        expires_at = self._future(order.expires_at)
        _refuse_ended(old, now)
        new = self._made(
            owner=old.owner,
            role=old.role,
            limits=old.limits,
            description=old.description if order.description is None else order.description,
            expires_at=expires_at or old.expires_at,
            rotated_from=old.id,
        )
        await self._keys.add(new.key)
        ending = _ending(old, new.key, order.grace_period_s, now)
        try:
            await self._keys.save(ending)
        except Stale:
            await self.revoke(new.key.id)
            raise
        log.info("key_rotated", key_id=old.id, new_key_id=new.key.id, grace_s=order.grace_period_s)
        return Rotated(new=new, old=ending)

    async def reencrypt(self) -> int:
        """
        Encrypt all secrets under the first encryption key; returns how many were encrypted under another one.

        Raises:
            NotReadable: One is encrypted under a key that is not set; those before it are done.
        """
        done, last = 0, ""
        while keys := await self._keys.after(last):
            for key in keys:
                done += await until_first(partial(self._reencrypt, key.id))
            last = keys[-1].id
        return done

    async def _revoke(self, key_id: str) -> ApiKey:
        key = await self.get(key_id)
        if key.revoked_at is not None:
            return key
        revoked = structs.replace(key, revoked_at=self._clock(), version=key.version + 1)
        await self._keys.save(revoked)
        log.info("key_revoked", key_id=key.id)
        return revoked

    async def _reencrypt(self, key_id: str) -> bool:
        key = await self._keys.get(key_id)
        if self._sealer.is_current(key.sealed):
            return False
        sealed = self._sealer.seal(self._sealer.open(key.sealed, of=key.id), of=key.id)
        await self._keys.save(structs.replace(key, sealed=sealed, version=key.version + 1))
        return True

    def _made(
        self,
        *,
        owner: str | None,
        role: Role,
        limits: KeyLimits,
        description: str,
        expires_at: datetime | None,
        rotated_from: str | None = None,
    ) -> NewKey:
        now, secret = self._clock(), new_secret()
        key_id = new_key_id(now)
        key = ApiKey(
            id=key_id,
            access_key=new_access_key(),
            fingerprint=fingerprint_of(secret),
            sealed=self._sealer.seal(secret, of=key_id),
            owner=owner or key_id,
            role=role,
            description=description,
            limits=limits,
            created=now,
            expires_at=expires_at,
            rotated_from=rotated_from,
        )
        return NewKey(key=key, secret=secret)

    @property
    def _sealer(self) -> Vault:
        if self._vault is None:
            raise NotPossible(f"secrets of keys cannot be stored: {NO_ENCRYPTION_KEY}")
        return self._vault

    def _future(self, moment: datetime | None) -> datetime | None:
        if moment is None:
            return None
        with suppress(OverflowError):  # the last hours of the year 9999, in some time zone
            if (at := to_milliseconds(moment.astimezone(UTC))) > self._clock():
                return at
        message = "Allowed: a time in the future."
        raise InvalidRequest([FieldProblem(field="expires_at", message=message, value=moment.isoformat())])


def _refuse_ended(key: ApiKey, now: datetime) -> None:
    if key.rotated_to is not None:
        raise NotPossible(f"key {key.id} was rotated already; {key.rotated_to} replaced it")
    if (state := key.state(now)) is not KeyState.ACTIVE:
        raise NotPossible(f"key {key.id} is {state}; create a new one with --owner {key.owner}")


def _ending(old: ApiKey, new: ApiKey, grace_s: float, now: datetime) -> ApiKey:
    """The old key beside the new one: revoked, or expiring after the grace period."""
    ending = structs.replace(old, rotated_to=new.id, version=old.version + 1)
    if not grace_s:
        return structs.replace(ending, revoked_at=now)
    until = now + timedelta(milliseconds=round(grace_s * 1000))
    return structs.replace(ending, expires_at=until if old.expires_at is None else min(until, old.expires_at))
