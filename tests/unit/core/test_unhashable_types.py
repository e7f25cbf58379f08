"""Descriptions of types that cannot be hashed."""

from typing import Annotated, Any

import pytest
from msgspec import Meta

from core.constraint_text import allowed_words

UNHASHABLE: Any = Annotated[int, Meta(ge=1, le=4), ["px"]]


def test_a_type_that_cannot_be_hashed_is_described_without_the_cache() -> None:
    """A list in an annotation cannot be part of a cache key; the description is that of the type without it."""
    with pytest.raises(TypeError):
        hash(UNHASHABLE)

    assert allowed_words(UNHASHABLE) == allowed_words(Annotated[int, Meta(ge=1, le=4)])
