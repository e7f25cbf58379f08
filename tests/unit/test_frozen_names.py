"""Frozen names: nothing that others rely on disappears."""

import json
from typing import Any

import pytest

from tests.frozen_names import FILE, frozen_names, lost

BEFORE: dict[str, Any] = json.loads(FILE.read_text("utf-8"))


@pytest.fixture(scope="module")
def now() -> dict[str, Any]:
    """The names of this code, as JSON has them."""
    names: dict[str, Any] = json.loads(json.dumps(frozen_names()))
    return names


@pytest.mark.parametrize("kind", sorted(BEFORE))
def test_no_name_is_lost(kind: str, now: dict[str, Any]) -> None:
    """Each route, shape, setting, command, metric, code, field and key of the file still exists as it was."""
    assert list(lost(BEFORE[kind], now[kind], f"/{kind}")) == []


@pytest.mark.parametrize("kind", sorted(BEFORE))
def test_each_name_of_this_code_is_in_the_file(kind: str, now: dict[str, Any]) -> None:
    """A new name is added to the file on purpose: `python -m tests.frozen_names`."""
    assert list(lost(now[kind], BEFORE[kind], f"/{kind}")) == []
