"""The cache of API keys: what it keeps, and for how long."""

from datetime import UTC, datetime

import pytest

from core.errors import StoreUnavailable
from core.keys import fingerprint_of
from polyrelay import Secret
from services.access.key_cache import HOLD_S, MOST_KEYS, KeyCache
from tests.contracts.access import a_key
from tests.fakes.access import MemoryKeys

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = Secret("sk_example")


class CacheFixture:
    """A cache on stored keys, and a clock that stands still until it is set."""

    def __init__(self, *, most: int = MOST_KEYS) -> None:
        self.now_s = 100.0
        self.keys = MemoryKeys()
        self.cache = KeyCache(self.keys, most=most, monotonic_s=lambda: self.now_s)


@pytest.fixture
def fixture() -> CacheFixture:
    """Without any key."""
    return CacheFixture()


async def test_a_key_is_read_once_in_a_while(fixture: CacheFixture) -> None:
    """Every request looks its key up; the database is read again when the entry is too old."""
    key = a_key(fingerprint=fingerprint_of(SECRET))
    await fixture.keys.add(key)

    found = [await fixture.cache.of_secret(SECRET) for _ in range(5)]
    assert (found, fixture.keys.reads) == ([key] * 5, 1)
    fixture.now_s += HOLD_S
    await fixture.cache.of_secret(SECRET)
    assert fixture.keys.reads == 2


async def test_a_change_is_seen_within_two_seconds(fixture: CacheFixture) -> None:
    """That is what the documentation promises of a revoked key."""
    assert HOLD_S <= 2.0
    key = a_key()
    await fixture.keys.add(key)
    await fixture.cache.of_access_key(key.access_key)

    revoked = a_key(id=key.id, access_key=key.access_key, revoked_at=NOW, version=2)
    await fixture.keys.save(revoked)
    fixture.now_s += HOLD_S
    assert await fixture.cache.of_access_key(key.access_key) == revoked


async def test_the_time_counts_from_before_the_read(fixture: CacheFixture) -> None:
    """A slow answer is an old one."""
    key = a_key()
    await fixture.keys.add(key)
    read = fixture.keys.of_access_key

    async def slow(access_key: str) -> object:
        found = await read(access_key)
        fixture.now_s += HOLD_S
        return found

    fixture.keys.of_access_key = slow  # type: ignore[method-assign, assignment]
    await fixture.cache.of_access_key(key.access_key)
    await fixture.cache.of_access_key(key.access_key)
    assert fixture.keys.reads == 2


async def test_a_key_that_does_not_exist_is_cached_too(fixture: CacheFixture) -> None:
    """Guessed keys do not each cause a read of the database; a key that is created later is found."""
    assert [await fixture.cache.of_secret(SECRET) for _ in range(5)] == [None] * 5
    assert fixture.keys.reads == 1

    await fixture.keys.add(a_key(fingerprint=fingerprint_of(SECRET)))
    fixture.now_s += HOLD_S
    assert await fixture.cache.of_secret(SECRET) is not None


async def test_wrong_keys_do_not_displace_a_good_one() -> None:
    """Of keys that do not exist only the latest are kept; a found key stays in the cache beside any number of them."""
    fixture = CacheFixture(most=3)
    key = a_key()
    await fixture.keys.add(key)
    await fixture.cache.of_access_key(key.access_key)
    for number in range(50):
        await fixture.cache.of_access_key(f"ak_{number}")

    reads = fixture.keys.reads
    assert await fixture.cache.of_access_key(key.access_key) == key
    assert fixture.keys.reads == reads
    for number in (49, 48, 47):
        assert await fixture.cache.of_access_key(f"ak_{number}") is None
    assert fixture.keys.reads == reads
    await fixture.cache.of_access_key("ak_46")
    assert fixture.keys.reads == reads + 1


async def test_an_unavailable_store_is_not_cached(fixture: CacheFixture) -> None:
    """An unavailable store is not cached as a missing key."""
    fixture.keys.reachable = False
    with pytest.raises(StoreUnavailable):
        await fixture.cache.of_secret(SECRET)

    fixture.keys.reachable = True
    await fixture.keys.add(a_key(fingerprint=fingerprint_of(SECRET)))
    assert await fixture.cache.of_secret(SECRET) is not None
