"""Descriptions of what a type allows."""

import enum
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct, UnsetType

from core.constraint_text import allowed_words


class Colour(enum.StrEnum):
    """An enum."""

    RED = "red"
    BLUE = "blue"


class Point(Struct):
    """An object."""

    x: int
    y: int = 0


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (int, "a whole number"),
        (Annotated[int, Meta(ge=1, le=10)], "a whole number from 1 to 10"),
        (Annotated[int, Meta(ge=-1, le=2**31 - 1)], "a whole number from -1 to 2147483647"),
        (Annotated[int, Meta(ge=256, multiple_of=16)], "a whole number, 256 or more, a multiple of 16"),
        (Annotated[float, Meta(gt=0, lt=1)], "a number, more than 0, less than 1"),
        (Annotated[float, Meta(ge=0.5, le=1)] | None, "a number from 0.5 to 1"),
        (Annotated[float, Meta(gt=0, le=2)], "a number, more than 0, 2 or less"),
        (str, "a text"),
        (Annotated[str, Meta(min_length=1)], "a text of at least 1 character"),
        (Annotated[str, Meta(max_length=9)], "a text of at most 9 characters"),
        (Annotated[str, Meta(min_length=2, max_length=2)], "a text of 2 characters"),
        (Annotated[str, Meta(pattern=r"\S", description="Not told.")], "a text"),
        (
            Annotated[str, Meta(pattern="^a", description="It starts with a.")],
            "a text that matches ^a (It starts with a)",
        ),
        (Literal["only"], "only"),
        (Literal[1, 2] | None, "one of 1, 2"),
        (Colour, "one of red, blue"),
        (bool | UnsetType, "true or false"),
        (str | int, "a text or a whole number"),
        (bytes, "a text in base64"),
        (date, "a date such as 2026-01-31"),
        (datetime, "a date and time such as 2026-01-31T12:00:00Z"),
        (list[int], "a list, each a whole number"),
        (Annotated[tuple[str, ...], Meta(min_length=1, max_length=3)], "a list of 1 to 3 items, each a text"),
        (Sequence[Point], "a list, each an object with x, y"),
        (dict[str, int], "an object"),
        (Annotated[dict[str, Any], Meta(max_length=2)], "an object of at most 2 fields"),
        (Any, "any JSON value"),
    ],
)
def test_a_type_is_described_in_plain_words(kind: Any, words: str) -> None:
    """Each type and limit that params use has a description; null is not mentioned, because it means unset."""
    assert allowed_words(kind) == words
