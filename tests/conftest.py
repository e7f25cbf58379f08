"""For all tests: the long ones first, and no test hears what another one set up for the logs."""

from collections.abc import Iterator
from typing import Final

import pytest
import structlog

_LONG: Final = ("tests/chaos/", "tests/faults/", "tests/acceptance/")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; within each half the random order stays."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))


@pytest.fixture(autouse=True)
def default_logs() -> Iterator[None]:
    """A test that configures structlog, as commands do in their process, leaves no trace."""
    yield
    structlog.reset_defaults()
