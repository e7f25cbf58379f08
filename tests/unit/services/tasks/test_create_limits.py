"""The limits of a create's fields, and hints for fields that a fallback does not know."""

from typing import Any

import pytest

from core.errors import InvalidRequest
from polyrelay import TaskType
from services.tasks.create_fields import (
    read_common,
    unstorable,
)
from tests.unit.services.use_case_fixture import BODY, UseCaseFixture

HINT = "null in this fallback's `params`"


def wrong_fields(**fields: Any) -> list[str]:
    """The fields that are wrong in a body with these fields."""
    body = {"user_id": "ada", "provider": "one", "model": "wide", **fields}
    return [problem.field for problem in read_common(body)[1]]


def nested(levels: int) -> Any:
    """Lists within each other, that many levels."""
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def metadata_of(size: int) -> dict[str, str]:
    """Metadata that is that long as JSON, in bytes."""
    return {"a": "x" * (size - len('{"a":""}'))}


@pytest.mark.parametrize(
    ("within", "beyond"),
    [
        ({"deadline_s": 7 * 24 * 3600}, {"deadline_s": 7 * 24 * 3600 + 1}),
        ({"deadline_s": 1}, {"deadline_s": 0.9}),
        ({"model": "m" * 128}, {"model": "m" * 129}),
        ({"provider": "p" * 64}, {"provider": "p" * 65}),
        ({"user_id": "u" * 128}, {"user_id": "u" * 129}),
        ({"metadata": metadata_of(16 * 1024)}, {"metadata": metadata_of(16 * 1024 + 1)}),
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_field_at_its_limit_is_valid_and_one_beyond_it_is_not(within: dict[str, Any], beyond: dict[str, Any]) -> None:
    """Limits are included: seven days, 128 and 64 characters, 16 KiB."""
    assert wrong_fields(**within) == []
    assert wrong_fields(**beyond) == list(beyond)


@pytest.mark.parametrize(
    ("value", "valid"), [(2**63 - 1, True), (2**63, False), (-(2**63), True), (-(2**63) - 1, False)]
)
def test_an_integer_is_storable_up_to_64_bits(value: int, valid: bool) -> None:
    """MongoDB stores signed integers of 64 bits; the first ones beyond are refused."""
    assert (list(unstorable({"n": value}, "")) == []) is valid


@pytest.mark.parametrize(("levels", "valid"), [(32, True), (33, False)])
def test_nesting_is_storable_up_to_its_limit(levels: int, valid: bool) -> None:
    """A value may have 32 levels of lists or objects."""
    assert (list(unstorable({"n": nested(levels)}, "")) == []) is valid


@pytest.mark.parametrize(
    ("fields", "params", "field", "hinted"),
    [
        ({"seed": 7}, {"size": "512x512"}, "seed", True),
        ({}, {}, "size", False),
        ({}, {"size": "512x512", "colour": "red"}, "colour", False),
    ],
    ids=["a field of the task that the fallback does not know", "a field that it knows", "a field of its own params"],
)
async def test_only_an_inherited_unknown_field_has_the_hint_to_leave_it_out(
    fields: dict[str, Any], params: dict[str, Any], field: str, hinted: bool
) -> None:
    """Null would not help for a field that the fallback's model knows, or that the fallback itself names."""
    fallback = {"provider": "two", "model": "narrow", "params": params}

    with pytest.raises(InvalidRequest) as caught:
        await UseCaseFixture().create(TaskType.IMAGE, {**BODY, **fields, "fallbacks": [fallback]})

    (message,) = [each.message for each in caught.value.details if each.field == f"fallbacks[0].{field}"]
    assert (HINT in message) is hinted
