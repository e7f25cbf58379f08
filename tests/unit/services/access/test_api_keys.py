"""Making keys and taking them back."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from core.callers import KeyLimits, Role
from core.errors import InvalidRequest, KeyNotFound, NotPossible, Stale
from core.keys import ApiKey, KeyState, fingerprint_of
from core.vault import NotReadable, Vault
from services.access.api_keys import ApiKeys, KeyOrder, RotationOrder
from services.access.key_view import key_view
from tests.fakes.access import MemoryKeys

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD, NEW = Vault([bytes(32)]), Vault([bytes([1] * 32), bytes(32)])


class Scene:
    """A cabinet, its keys, and a clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = NOW
        self.keys = MemoryKeys()
        self.api_keys = ApiKeys(self.keys, OLD, lambda: self.now)

    async def state(self, key: ApiKey) -> KeyState:
        """How that key stands now."""
        return (await self.keys.get(key.id)).state(self.now)


@pytest.fixture
def scene() -> Scene:
    """Without any key."""
    return Scene()


async def test_a_new_key_is_what_was_ordered(scene: Scene) -> None:
    """With limits, role and time of expiry, and its own id as the owner where none is named."""
    order = KeyOrder(
        role=Role.OPERATOR,
        description="the shop",
        expires_at=NOW + timedelta(days=1),
        requests_per_minute=60,
        max_concurrent=2,
        max_queue=0,
    )
    made = await scene.api_keys.create(order)

    stored = await scene.keys.get(made.key.id)
    assert stored == made.key
    assert (stored.role, stored.owner, stored.description) == (Role.OPERATOR, stored.id, "the shop")
    assert stored.limits == KeyLimits(requests_per_minute=60, max_concurrent=2, max_queue=0)
    assert stored.expires_at == NOW + timedelta(days=1)
    assert (await scene.api_keys.create(KeyOrder(owner="shop"))).key.owner == "shop"


async def test_a_secret_is_long_and_on_record_only_encrypted(scene: Scene) -> None:
    """At least 160 random bits; what is stored leads to it only with the encryption key."""
    made = await scene.api_keys.create(KeyOrder())

    secret = made.secret.reveal()
    assert secret.startswith("sk_")
    assert len(secret.removeprefix("sk_")) * 5 >= 160
    assert secret not in repr(made.key) + repr(key_view(made.key, NOW))
    assert made.key.fits(made.secret)
    assert made.key.fingerprint == fingerprint_of(made.secret)
    assert OLD.open(made.key.sealed, of=made.key.id) == made.secret


async def test_no_two_keys_are_alike(scene: Scene) -> None:
    """No two keys have the same access key or secret."""
    made = [await scene.api_keys.create(KeyOrder()) for _ in range(50)]

    assert len({key.secret for key in made}) == len({key.key.access_key for key in made}) == 50


@pytest.mark.parametrize(
    "moment",
    [NOW, NOW - timedelta(days=1), datetime.max.replace(tzinfo=timezone(timedelta(hours=-23)))],
    ids=["now", "past", "beyond the calendar"],
)
async def test_a_key_that_would_be_of_no_use_is_not_made(scene: Scene, moment: datetime) -> None:
    """The time of expiry lies ahead."""
    with pytest.raises(InvalidRequest, match="expires_at"):
        await scene.api_keys.create(KeyOrder(expires_at=moment))


async def test_a_key_is_found_by_either_of_its_names(scene: Scene) -> None:
    """The id, or the access key that an app has in its settings."""
    made = await scene.api_keys.create(KeyOrder())

    assert await scene.api_keys.get(made.key.access_key) == await scene.api_keys.get(made.key.id) == made.key
    with pytest.raises(KeyNotFound):
        await scene.api_keys.get("ak_unknown")


async def test_a_revoked_key_stays_revoked_since_then(scene: Scene) -> None:
    """Twice is the same as once."""
    made = await scene.api_keys.create(KeyOrder())
    await scene.api_keys.revoke(made.key.id)
    scene.now += timedelta(hours=1)
    again = await scene.api_keys.revoke(made.key.access_key)

    assert again.revoked_at == NOW
    assert await scene.state(made.key) is KeyState.REVOKED


async def test_a_key_expires_at_its_moment(scene: Scene) -> None:
    """Not before."""
    made = await scene.api_keys.create(KeyOrder(expires_at=NOW + timedelta(hours=1)))

    assert made.key.state(NOW + timedelta(minutes=59)) is KeyState.ACTIVE
    assert made.key.state(NOW + timedelta(hours=1)) is KeyState.EXPIRED


async def test_rotation_keeps_owner_role_limits_and_what_is_not_given(scene: Scene) -> None:
    """The tasks of the old key belong to the new one, too."""
    old = await scene.api_keys.create(
        KeyOrder(role=Role.OPERATOR, description="shop", max_queue=5, expires_at=NOW + timedelta(days=9))
    )
    rotated = await scene.api_keys.rotate(old.key.id, RotationOrder())

    new = await scene.keys.get(rotated.new.key.id)
    assert (new.owner, new.role, new.limits) == (old.key.owner, old.key.role, old.key.limits)
    assert (new.description, new.expires_at) == ("shop", old.key.expires_at)
    assert (new.rotated_from, (await scene.keys.get(old.key.id)).rotated_to) == (old.key.id, new.id)
    assert rotated.new.secret != old.secret
    assert new.access_key != old.key.access_key


async def test_without_a_grace_period_the_old_key_ends_at_once(scene: Scene) -> None:
    """Somebody may have seen it."""
    old = await scene.api_keys.create(KeyOrder())
    await scene.api_keys.rotate(old.key.id, RotationOrder())

    assert await scene.state(old.key) is KeyState.REVOKED


async def test_in_the_grace_period_both_keys_work(scene: Scene) -> None:
    """Apps are given the new one, one after the other."""
    old = await scene.api_keys.create(KeyOrder())
    rotated = await scene.api_keys.rotate(old.key.id, RotationOrder(grace_period_s=300))

    assert await scene.state(old.key) is KeyState.ACTIVE
    scene.now += timedelta(seconds=300)
    assert await scene.state(old.key) is KeyState.EXPIRED
    assert await scene.state(rotated.new.key) is KeyState.ACTIVE


async def test_a_grace_period_prolongs_nothing(scene: Scene) -> None:
    """The old key still ends when it was to."""
    old = await scene.api_keys.create(KeyOrder(expires_at=NOW + timedelta(seconds=60)))
    rotated = await scene.api_keys.rotate(
        old.key.id, RotationOrder(grace_period_s=300, expires_at=NOW + timedelta(days=1))
    )

    assert rotated.old.expires_at == NOW + timedelta(seconds=60)
    assert rotated.new.key.expires_at == NOW + timedelta(days=1)


async def test_what_has_ended_or_was_rotated_is_not_rotated(scene: Scene) -> None:
    """The message says what to do instead."""
    revoked, rotated = await scene.api_keys.create(KeyOrder()), await scene.api_keys.create(KeyOrder())
    await scene.api_keys.revoke(revoked.key.id)
    await scene.api_keys.rotate(rotated.key.id, RotationOrder(grace_period_s=60))

    with pytest.raises(NotPossible, match="is revoked; create a new one"):
        await scene.api_keys.rotate(revoked.key.id, RotationOrder())
    with pytest.raises(NotPossible, match="replaced it"):
        await scene.api_keys.rotate(rotated.key.id, RotationOrder())


class Meeting(MemoryKeys):
    """Lets two rotations read the key before either of them writes."""

    def __init__(self) -> None:
        super().__init__()
        self.met = asyncio.Barrier(2)

    async def add(self, key: ApiKey) -> None:
        """Wait for the other one."""
        if key.rotated_from is not None:
            await self.met.wait()
        await super().add(key)


async def test_of_two_rotations_at_once_one_key_comes_out() -> None:
    """The other's new key does not stay about."""
    keys = Meeting()
    api_keys = ApiKeys(keys, OLD, lambda: NOW)
    old = await api_keys.create(KeyOrder())

    done = await asyncio.gather(
        *(api_keys.rotate(old.key.id, RotationOrder(grace_period_s=60)) for _ in range(2)), return_exceptions=True
    )

    assert [type(outcome) for outcome in done if isinstance(outcome, Exception)] == [Stale]
    active = [key.id for key in await keys.after("") if key.state(NOW) is KeyState.ACTIVE and key.id != old.key.id]
    assert active == [(await keys.get(old.key.id)).rotated_to]


async def test_a_new_encryption_key_takes_over(scene: Scene) -> None:
    """Afterwards the old one is of no more use; a second run finds nothing to do."""
    made = [await scene.api_keys.create(KeyOrder()) for _ in range(3)]
    both = ApiKeys(scene.keys, NEW, lambda: NOW)

    assert await both.reencrypt() == 3
    assert await both.reencrypt() == 0
    alone = Vault([bytes([1] * 32)])
    assert [alone.open((await scene.keys.get(key.key.id)).sealed, of=key.key.id) for key in made] == [
        key.secret for key in made
    ]
    with pytest.raises(NotReadable):
        await scene.api_keys.reencrypt()


async def test_without_an_encryption_key_none_is_made(scene: Scene) -> None:
    """The message says how to make one; reading and revoking go on."""
    made = await scene.api_keys.create(KeyOrder())
    bare = ApiKeys(scene.keys, None, lambda: NOW)

    with pytest.raises(NotPossible, match="openssl rand -base64 32"):
        await bare.create(KeyOrder())
    assert (await bare.revoke(made.key.id)).revoked_at == NOW
