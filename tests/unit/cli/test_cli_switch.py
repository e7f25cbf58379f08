"""`polyrelay providers enable|drain|disable|reload` against a fake server."""

import json
from typing import Any

import pytest

from tests.unit.cli.fake_api import FakeApi, Run

BROKEN = {"name": "acme", "version": "1.0", "error": "1.0 is kept: 2.0 was not loaded: ImportError: no"}


class FakeAdmin:
    """Answers the operator's calls. The last process has applied a change from the read number `applied_at` on."""

    def __init__(self, api: FakeApi, *, applied_at: int = 2, plugin: dict[str, Any] | None = None) -> None:
        self.bodies: list[tuple[str, Any]] = []
        self.reads = 0
        self._applied_at = applied_at
        self._plugin = plugin or {"name": "acme", "version": "1.0", "error": None}
        api.answer = self.answer  # type: ignore[method-assign]

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """The status and body of the answer."""
        if method == "POST":
            self.bodies.append((path.removeprefix("/api/v1/admin/providers/"), json.loads(body) if body else None))
            if path.startswith("/api/v1/admin/providers/nobody"):
                error = {"code": "unknown_provider", "message": "name: Allowed: openai", "details": []}
                return 422, json.dumps({"success": False, "error": error}).encode()
            switched = {"provider": "openai", "mode": "draining", "since": "now", "reason": "tired", "revision": 7}
            return 200, json.dumps({"data": {**switched, "generation": 3}}).encode()
        self.reads += 1
        late = {"revision": 6, "generation": 2} if self.reads < self._applied_at else {"revision": 7, "generation": 3}
        processes = [
            {"id": "a", "role": "api", "pid": 1, "host": "h", "revision": 8, "generation": 4, "plugins": []},
            {"id": "w", "role": "worker", "pid": 2, "host": "h", "seen": "then", "plugins": [self._plugin], **late},
        ]
        return 200, json.dumps({"data": {"processes": processes}}).encode()


def test_a_switch_waits_until_all_processes_have_applied_it(api: FakeApi, run: Run) -> None:
    """The command posts once, with the reason, and ends when the last process has applied it."""
    admin = FakeAdmin(api, applied_at=3)

    result = run("providers", "drain", "openai", "--reason", "tired", "--url", api.url)

    assert result.exit_code == 0, result.output
    assert "openai is draining (tired)" in result.stdout
    assert "2 of 2 processes have applied the change" in result.stderr
    assert (admin.bodies, admin.reads) == ([("openai/drain", {"reason": "tired"})], 3)


@pytest.mark.parametrize("verb", ["enable", "drain", "disable"])
def test_json_has_the_mode_and_the_late_processes(api: FakeApi, run: Run, verb: str) -> None:
    """With --no-wait a late process is named and is not an error."""
    admin = FakeAdmin(api, applied_at=100)

    result = run("providers", verb, "openai", "--no-wait", "--format", "json", "--url", api.url)

    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert (answer["switched"]["mode"], answer["processes"], answer["late"]) == ("draining", 2, ["w"])
    assert admin.bodies == [(f"openai/{verb}", None)]


def test_a_reload_shows_what_each_process_runs(api: FakeApi, run: Run) -> None:
    """Each process has a row with its plugins and versions; the name is sent to force the reload."""
    admin = FakeAdmin(api)

    result = run("providers", "reload", "acme", "--url", api.url)

    assert result.exit_code == 0, result.output
    assert "acme 1.0" in result.stdout
    assert admin.bodies == [("reload", {"plugin": "acme"})]


def test_a_process_that_does_not_reload_in_time_is_an_error(api: FakeApi, run: Run) -> None:
    """The message names it with the time at which it was last seen."""
    FakeAdmin(api, applied_at=1000)

    result = run("providers", "reload", "--timeout", "0", "--url", api.url)

    assert result.exit_code == 1
    assert "not applied in time by: worker 2 on h (last seen then)" in result.stderr


def test_a_plugin_that_could_not_be_loaded_is_an_error(api: FakeApi, run: Run) -> None:
    """The message has the reason and the number of processes."""
    FakeAdmin(api, plugin=BROKEN)

    result = run("providers", "reload", "--format", "json", "--url", api.url)

    assert result.exit_code == 1
    assert "plugin acme: 1.0 is kept: 2.0 was not loaded: ImportError: no (in 1 of 2 processes)" in result.stderr
    assert json.loads(result.stdout)["late"] == []


def test_a_refusal_is_reported_without_a_trace(api: FakeApi, run: Run) -> None:
    """An unknown provider and an unreachable server are errors."""
    FakeAdmin(api)
    refused = run("providers", "drain", "nobody", "--url", api.url)
    unreachable = run("providers", "drain", "openai", "--url", "http://127.0.0.1:9")

    assert (refused.exit_code, unreachable.exit_code) == (1, 1)
    assert "Allowed: openai (unknown_provider)" in refused.stderr
    assert "no server answers" in unreachable.stderr
