"""The rules of `core.keys.Keys`, `core.users.Users` and `core.used_signatures.UsedSignatures`, for each adapter."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from core.callers import KeyLimits, Role
from core.errors import DuplicateKey, EmailTaken, KeyNotFound, Stale, UserNotFound
from core.keys import ApiKey, KeyQuery, Keys, new_access_key, new_key_id
from core.used_signatures import UsedSignatures
from core.users import User, Users, new_user_id

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_key(*, age_s: float = 0, **fields: Any) -> ApiKey:
    """A key that was created that many seconds ago."""
    created = NOW - timedelta(seconds=age_s)
    key_id = new_key_id(created)
    key = ApiKey(
        id=key_id,
        access_key=new_access_key(),
        fingerprint=key_id,
        sealed=b"\x00\xff",
        owner=key_id,
        role=Role.APP,
        created=created,
    )
    return structs.replace(key, **fields)


def a_user(email: str, *, age_s: float = 0, **fields: Any) -> User:
    """A user that was created that many seconds ago."""
    created = NOW - timedelta(seconds=age_s)
    user = User(id=new_user_id(created), email=email, name="Ada", created=created, updated=created)
    return structs.replace(user, **fields)


class KeysContract:
    """The rules of `core.keys.Keys`."""

    async def test_a_key_comes_back_as_it_was_stored(self, keys: Keys) -> None:
        """By its id, by its access key and by its secret's fingerprint, with all that it has."""
        full = a_key(
            role=Role.ADMIN,
            owner="team-1",
            description="für alle — 密钥",
            limits=KeyLimits(requests_per_minute=60, max_concurrent=1, max_queue=0),
            expires_at=NOW,
            revoked_at=NOW,
            rotated_from="key_1",
            rotated_to="key_2",
            version=1,
        )
        await keys.add(full)
        await keys.add(a_key())

        assert await keys.get(full.id) == full
        assert await keys.of_access_key(full.access_key) == full
        assert await keys.of_fingerprint(full.fingerprint) == full

    async def test_what_is_not_there_is_not_found(self, keys: Keys) -> None:
        """Whichever way it is looked for."""
        await keys.add(a_key())

        for looked_up in (keys.get("key_0"), keys.of_access_key("ak_0"), keys.of_fingerprint("0")):
            with pytest.raises(KeyNotFound):
                await looked_up

    @pytest.mark.parametrize("same", ["id", "access_key", "fingerprint"])
    async def test_no_two_keys_share_what_they_are_found_by(self, keys: Keys, same: str) -> None:
        """The second is refused and the first stays."""
        first = a_key()
        await keys.add(first)

        with pytest.raises(DuplicateKey):
            await keys.add(structs.replace(a_key(), **{same: getattr(first, same)}))
        assert await keys.get(first.id) == first

    async def test_of_two_writers_the_second_is_refused(self, keys: Keys) -> None:
        """Both read the same version; the first one's change stays."""
        key = a_key()
        await keys.add(key)
        await keys.save(structs.replace(key, revoked_at=NOW, version=2))

        with pytest.raises(Stale):
            await keys.save(structs.replace(key, rotated_to="key_2", version=2))
        assert (await keys.get(key.id)).revoked_at == NOW

    async def test_lists_are_newest_first_and_count_all(self, keys: Keys) -> None:
        """Of one owner or of all, a page at a time."""
        stored = [a_key(age_s=age, owner="one" if age % 2 else "two") for age in range(5)]
        for key in stored:
            await keys.add(key)

        page = await keys.page(KeyQuery(limit=2, offset=1))
        of_one = await keys.page(KeyQuery(owner="one"))
        assert ([key.id for key in page.keys], page.total) == ([stored[1].id, stored[2].id], 5)
        assert ([key.id for key in of_one.keys], of_one.total) == ([stored[1].id, stored[3].id], 2)

    async def test_all_keys_can_be_gone_through(self, keys: Keys) -> None:
        """In order of id, from after the last one that was seen."""
        stored = sorted([a_key(age_s=age) for age in range(3)], key=lambda key: key.id)
        for key in stored:
            await keys.add(key)

        assert await keys.after("", limit=2) == stored[:2]
        assert await keys.after(stored[1].id) == stored[2:]
        assert await keys.after(stored[2].id) == []


class UsersContract:
    """The rules of `core.users.Users`."""

    async def test_a_user_comes_back_as_it_was_stored(self, users: Users) -> None:
        """By its id and by its address, in whatever case the address is asked for."""
        user = a_user("Ada.Lovelace@Example.com")
        await users.add(user)

        assert await users.get(user.id) == user
        assert await users.of_email("ada.lovelace@example.COM") == user

    async def test_what_is_not_there_is_not_found(self, users: Users) -> None:
        """Whichever way it is looked for."""
        for looked_up in (users.get("user_0"), users.of_email("a@b.de"), users.delete("user_0")):
            with pytest.raises(UserNotFound):
                await looked_up

    async def test_an_address_belongs_to_one_user(self, users: Users) -> None:
        """Ignoring case; a second user gets it neither when created nor by a change."""
        first, second = a_user("ada@example.com"), a_user("grace@example.com")
        await users.add(first)
        await users.add(second)

        with pytest.raises(EmailTaken):
            await users.add(a_user("ADA@example.com"))
        with pytest.raises(EmailTaken):
            await users.save(structs.replace(second, email="Ada@Example.com", version=2))
        assert await users.get(second.id) == second

    async def test_a_user_may_change_the_case_of_their_own_address(self, users: Users) -> None:
        """It is not taken by another user."""
        user = a_user("ada@example.com")
        await users.add(user)
        await users.save(structs.replace(user, email="Ada@example.com", version=2))

        assert (await users.of_email("ada@example.com")).email == "Ada@example.com"

    async def test_of_many_with_one_address_at_once_one_is_stored(self, users: Users) -> None:
        """The unique index decides, not an earlier read."""
        done = await asyncio.gather(*(users.add(a_user("ada@example.com")) for _ in range(8)), return_exceptions=True)

        assert done.count(None) == 1
        assert sum(isinstance(error, EmailTaken) for error in done) == 7

    async def test_of_two_writers_the_second_is_refused(self, users: Users) -> None:
        """Both read the same version; the first one's change stays."""
        user = a_user("ada@example.com")
        await users.add(user)
        await users.save(structs.replace(user, name="Ada L.", version=2))

        with pytest.raises(Stale):
            await users.save(structs.replace(user, name="A. L.", version=2))
        assert (await users.get(user.id)).name == "Ada L."

    async def test_a_deleted_user_is_not_found_and_the_address_is_free(self, users: Users) -> None:
        """A write that comes too late does not bring the user back."""
        user = a_user("ada@example.com")
        await users.add(user)
        await users.delete(user.id)

        with pytest.raises(Stale):
            await users.save(structs.replace(user, version=2))
        await users.add(a_user("ada@example.com"))
        assert (await users.page(limit=10, offset=0)).total == 1

    async def test_lists_are_newest_first_and_count_all(self, users: Users) -> None:
        """A page at a time."""
        stored = [a_user(f"user{age}@example.com", age_s=age) for age in range(4)]
        for user in stored:
            await users.add(user)

        page = await users.page(limit=2, offset=1)
        assert (list(page.users), page.total) == (stored[1:3], 4)


class UsedSignaturesContract:
    """The rules of `core.used_signatures.UsedSignatures`."""

    async def test_a_signature_is_used_up_once(self, used_signatures: UsedSignatures) -> None:
        """Of many at once, one succeeds; other signatures are not affected."""
        got = await asyncio.gather(*(used_signatures.spend("one", until=NOW + timedelta(days=9000)) for _ in range(8)))

        assert sorted(got) == [False] * 7 + [True]
        assert await used_signatures.spent("one")
        assert not await used_signatures.spent("other")
