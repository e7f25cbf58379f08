"""For all tests: those that start the whole product go first, so that none of them is left for last."""

from typing import Final

import pytest

_LONG: Final = ("tests/chaos/", "tests/faults/", "tests/acceptance/")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; within each half the random order stays."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))
