"""What a process believes of keys, and for how long."""

from datetime import UTC, datetime

import pytest

from core.errors import StoreUnavailable
from core.keys import fingerprint_of
from polyrelay import Secret
from services.access import key_cache
from services.access.key_cache import HOLD_S, KeyCache
from tests.contracts.access import a_key
from tests.fakes.access import MemoryKeys

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = Secret("sk_example")


class Scene:
    """A ring on some keys, and a clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.keys = MemoryKeys()
        self.ring = KeyCache(self.keys, monotonic_s=lambda: self.now_s)


@pytest.fixture
def scene() -> Scene:
    """Without any key."""
    return Scene()


async def test_a_key_is_read_once_in_a_while(scene: Scene) -> None:
    """Every request asks; the database is asked again when the time is over."""
    key = a_key(fingerprint=fingerprint_of(SECRET))
    await scene.keys.add(key)

    found = [await scene.ring.of_secret(SECRET) for _ in range(5)]
    assert (found, scene.keys.reads) == ([key] * 5, 1)
    scene.now_s += HOLD_S
    await scene.ring.of_secret(SECRET)
    assert scene.keys.reads == 2


async def test_a_change_is_seen_within_two_seconds(scene: Scene) -> None:
    """That is what the documentation promises of a revoked key."""
    assert HOLD_S <= 2.0
    key = a_key()
    await scene.keys.add(key)
    await scene.ring.of_access_key(key.access_key)

    revoked = a_key(id=key.id, access_key=key.access_key, revoked_at=NOW, version=2)
    await scene.keys.save(revoked)
    scene.now_s += HOLD_S
    assert await scene.ring.of_access_key(key.access_key) == revoked


async def test_the_time_counts_from_before_the_read(scene: Scene) -> None:
    """A slow answer is an old one."""
    key = a_key()
    await scene.keys.add(key)
    read = scene.keys.of_access_key

    async def slow(access_key: str) -> object:
        found = await read(access_key)
        scene.now_s += HOLD_S
        return found

    scene.keys.of_access_key = slow  # type: ignore[method-assign, assignment]
    await scene.ring.of_access_key(key.access_key)
    await scene.ring.of_access_key(key.access_key)
    assert scene.keys.reads == 2


async def test_what_is_not_there_is_remembered_too(scene: Scene) -> None:
    """Somebody who tries keys does not reach the database with each; one that is made a little later is found."""
    assert [await scene.ring.of_secret(SECRET) for _ in range(5)] == [None] * 5
    assert scene.keys.reads == 1

    await scene.keys.add(a_key(fingerprint=fingerprint_of(SECRET)))
    scene.now_s += HOLD_S
    assert await scene.ring.of_secret(SECRET) is not None


async def test_wrong_keys_drive_no_good_one_out(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many come, what is remembered of them stays small."""
    monkeypatch.setattr(key_cache, "_MOST_MISSED", 3)
    key = a_key()
    await scene.keys.add(key)
    await scene.ring.of_access_key(key.access_key)
    for number in range(50):
        await scene.ring.of_access_key(f"ak_{number}")

    reads = scene.keys.reads
    assert await scene.ring.of_access_key(key.access_key) == key
    assert scene.keys.reads == reads
    assert len(scene.ring._missed) == 3


async def test_a_store_that_is_unavailable_is_no_answer(scene: Scene) -> None:
    """It is not remembered that a key is not there."""
    scene.keys.reachable = False
    with pytest.raises(StoreUnavailable):
        await scene.ring.of_secret(SECRET)

    scene.keys.reachable = True
    await scene.keys.add(a_key(fingerprint=fingerprint_of(SECRET)))
    assert await scene.ring.of_secret(SECRET) is not None
