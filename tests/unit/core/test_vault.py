"""The vault: encryption of stored secrets."""

import base64
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.vault import NotReadable, Vault, vault_of
from polyrelay import Secret

OLD: Final = bytes(range(32))
NEW: Final = bytes(range(1, 33))
SECRET: Final = Secret("sk_example")


def encoded(*keys: bytes) -> Secret:
    """The setting for these keys."""
    return Secret(", ".join(base64.b64encode(key).decode() for key in keys))


def test_a_sealed_secret_can_be_opened() -> None:
    """It needs the same key and the same id."""
    sealed = Vault([OLD]).seal(SECRET, of="key_1")

    assert SECRET.reveal().encode() not in sealed
    assert Vault([OLD]).open(sealed, of="key_1") == SECRET


def test_the_same_secret_has_different_ciphertexts() -> None:
    """Stored records do not show that two keys have the same secret."""
    vault = Vault([OLD])

    assert len({vault.seal(SECRET, of="key_1") for _ in range(20)}) == 20


def test_a_ciphertext_is_not_valid_for_another_key() -> None:
    """A writer of the database cannot give one key the secret of another."""
    vault = Vault([OLD])

    with pytest.raises(NotReadable):
        vault.open(vault.seal(SECRET, of="key_1"), of="key_2")


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_changed_ciphertext_is_refused(position: int, change: int) -> None:
    """The position of the change does not matter."""
    sealed = bytearray(Vault([OLD]).seal(SECRET, of="key_1"))
    sealed[position % len(sealed)] ^= change

    with pytest.raises(NotReadable):
        Vault([OLD]).open(bytes(sealed), of="key_1")


@given(st.binary(max_size=80))
def test_other_bytes_are_refused(data: bytes) -> None:
    """They may be too short, or no ciphertext at all."""
    with pytest.raises(NotReadable):
        Vault([OLD]).open(data, of="key_1")


def test_the_encryption_key_can_be_changed() -> None:
    """The first key encrypts, all keys decrypt; secrets under older keys are recognised."""
    before = Vault([OLD]).seal(SECRET, of="key_1")
    both = vault_of(encoded(NEW, OLD))

    assert both.open(before, of="key_1") == SECRET
    assert not both.is_current(before)
    after = both.seal(SECRET, of="key_1")
    assert both.is_current(after)
    assert Vault([NEW]).open(after, of="key_1") == SECRET
    with pytest.raises(NotReadable, match="a key that is not in API_KEY_ENCRYPTION_KEY"):
        Vault([NEW]).open(before, of="key_1")


def test_derived_keys_differ_by_purpose_and_follow_the_order() -> None:
    """A vault with several keys derives the keys of each one."""
    assert Vault([OLD]).derived("links") != Vault([OLD]).derived("other")
    assert Vault([NEW, OLD]).derived("links") == (*Vault([NEW]).derived("links"), *Vault([OLD]).derived("links"))


@pytest.mark.parametrize(
    "text",
    ["", "short", base64.b64encode(bytes(31)).decode(), base64.b64encode(bytes(33)).decode(), "é" * 32, "0" * 32],
)
def test_an_invalid_encryption_key_is_refused_and_not_shown(text: str) -> None:
    """The error does not contain the text, which may be a part of a real key."""
    with pytest.raises(ValueError, match="base64 of 32 bytes") as refused:
        vault_of(Secret(f"{encoded(OLD).reveal()},{text}"))

    assert not text or text not in str(refused.value)


def test_both_alphabets_of_base64_are_accepted() -> None:
    """Some tools use `-` and `_`."""
    key = b"\xfb\xff" * 16

    assert Vault([key]).open(vault_of(Secret(base64.urlsafe_b64encode(key).decode())).seal(SECRET, of="a"), of="a") == (
        SECRET
    )
