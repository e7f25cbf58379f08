"""An empty Valkey for engines, whose pauses are short."""

import pytest


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses after trouble are short."""
    monkeypatch.setattr("worker.engine._PAUSE_S", 0.05)
