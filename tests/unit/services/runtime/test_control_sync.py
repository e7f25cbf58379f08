"""Control sync: a process follows the control state and reports what it runs."""

import asyncio
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.plugins import load_plugins
from core.switches import Mode, Switch
from polyrelay import Env
from services.runtime.control_sync import ALIVE, ControlSync, Identity, alive
from services.runtime.live_registry import LiveRegistry
from tests.acceptance.plugin_folder import ANSWERS, PluginFolder
from tests.fakes.control import MemoryControlStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOTING = ANSWERS.replace("        pass", "        CLOSED.append('@version@')") + "\nCLOSED = []\n"
IDENTITY = Identity(id="p1", role="worker", host="h", pid=7)


class ProcessFixture:
    """One process."""

    def __init__(self, path: Path) -> None:
        self.now = NOW
        self.folder = PluginFolder(path)
        self.folder.install("acme", "1.0", NOTING)
        self.control = MemoryControlStore()
        self.registry = LiveRegistry(load_plugins(Env({})), Env({}))
        self.control_sync = ControlSync(self.control, self.registry, IDENTITY, lambda: self.now)

    async def reloaded(self, generation: int) -> None:
        """Wait until the process has carried out that request."""
        async with asyncio.timeout(10):
            while (await self.control.processes(since=NOW))[0].generation < generation:
                await self.control_sync.sync()
                await asyncio.sleep(0.01)


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessFixture]:
    """A process with one plugin."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield ProcessFixture(tmp_path)
    sys.modules.pop("plugin_acme", None)


async def test_a_process_starts_with_the_stored_control_state(process: ProcessFixture) -> None:
    """A process that starts while a provider is disabled never serves it; its plugins are new, so it reloads none."""
    await process.control.switch("acme", Switch(mode=Mode.DISABLED, since=NOW))
    await process.control.request_reload()
    await process.control_sync.begin()

    assert "disabled" in (process.registry.route("acme", "words").closed or "")
    (report,) = await alive(process.control, NOW)
    assert (report.id, report.role, report.revision, report.generation) == ("p1", "worker", 2, 1)
    assert [plugin.version for plugin in report.plugins if plugin.name == "acme"] == ["1.0"]


async def test_a_switch_holds_while_the_database_is_unavailable(process: ProcessFixture) -> None:
    """A process that cannot read the control state keeps the latest one, and follows again when it can."""
    await process.control_sync.begin()
    await process.control.switch("acme", Switch(mode=Mode.DRAINING, since=NOW))
    await process.control_sync.sync()
    await process.control.switch("acme", Switch(mode=Mode.ENABLED, since=NOW))
    process.control.reachable = False
    await process.control_sync.sync()
    assert process.registry.route("acme", "words").closed is not None

    process.control.reachable = True
    await process.control_sync.sync()
    assert process.registry.route("acme", "words").closed is None


async def test_a_replaced_provider_is_closed_when_its_last_user_is_done(process: ProcessFixture) -> None:
    """A route from before the reload keeps the old provider open; it is closed when no route refers to it."""
    await process.control_sync.begin()
    reported: list[int] = []
    process.control_sync.on_reload = lambda: reported.append(1)
    held = process.registry.route("acme", "words")
    closed = sys.modules["plugin_acme"].CLOSED
    process.folder.install("acme", "2.0", NOTING)
    await process.control.request_reload()
    await process.reloaded(1)
    await process.control_sync.sync()

    assert process.registry.route("acme", "words").provider is not held.provider
    assert (closed, reported) == ([], [1])
    del held
    await process.control_sync.sync()
    assert closed == ["1.0"]
    assert sys.modules["plugin_acme"].CLOSED == []


async def test_a_process_reports_news_at_once_and_else_periodically(process: ProcessFixture) -> None:
    """A process counts as stopped when its report is older than `ALIVE`, or when it withdrew."""
    await process.control_sync.begin()
    process.now += timedelta(seconds=9)
    await process.control_sync.sync()
    assert (await alive(process.control, process.now))[0].seen == NOW
    process.now += timedelta(seconds=1)
    await process.control_sync.sync()
    assert (await alive(process.control, process.now))[0].seen == process.now
    assert len(await alive(process.control, process.now + ALIVE)) == 1
    assert await alive(process.control, process.now + ALIVE + timedelta(seconds=1)) == []

    await process.control_sync.end()
    assert await alive(process.control, process.now) == []


async def test_a_forced_plugin_is_loaded_anew_once(process: ProcessFixture) -> None:
    """A later request without a name does not load it again."""
    await process.control_sync.begin()
    first = process.registry.providers["acme"]
    await process.control.request_reload("acme")
    await process.reloaded(1)
    second = process.registry.providers["acme"]
    await process.control.request_reload()
    await process.reloaded(2)

    assert second is not first
    assert process.registry.providers["acme"] is second
