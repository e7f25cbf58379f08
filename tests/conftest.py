"""Rules for all tests: long files run first, Hypothesis has no deadline, and logging is reset after each test."""

import logging
import signal
import threading
from collections.abc import Iterator
from typing import Final

import pytest
import structlog
from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that runs the tests in the background lets them ignore SIGINT, and their child processes would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

_LONG: Final = ("tests/chaos/", "tests/faults/", "tests/acceptance/")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; the order within both groups is kept."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))


@pytest.fixture(autouse=True)
def default_logs() -> Iterator[None]:
    """Restore structlog, handlers and levels of loggers after a test that configures logging."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], {logger: logger.level for logger in _loggers()}
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    for logger in _loggers():
        logger.setLevel(levels.get(logger, logging.NOTSET))


def _loggers() -> list[logging.Logger]:
    loggers = logging.Logger.manager.loggerDict.values()
    return [logging.getLogger(), *(logger for logger in loggers if isinstance(logger, logging.Logger))]
