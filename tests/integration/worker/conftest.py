"""Engines whose pauses after errors are short."""

import pytest


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses after errors are short."""
    monkeypatch.setattr("worker.engine._PAUSE_S", 0.05)
