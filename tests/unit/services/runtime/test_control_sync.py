"""A process follows the operator's decisions and tells what it runs."""

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


class Lab:
    """One process."""

    def __init__(self, path: Path) -> None:
        self.now = NOW
        self.folder = PluginFolder(path)
        self.folder.install("acme", "1.0", NOTING)
        self.task_quotas = MemoryControlStore()
        self.registry = LiveRegistry(load_plugins(Env({})), Env({}))
        self.control_sync = ControlSync(self.task_quotas, self.registry, IDENTITY, lambda: self.now)

    async def reloaded(self, generation: int) -> None:
        """Once the process has carried out that request."""
        async with asyncio.timeout(10):
            while (await self.task_quotas.processes(since=NOW))[0].generation < generation:
                await self.control_sync.look()
                await asyncio.sleep(0.01)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A process with one plugin."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Lab(tmp_path)
    sys.modules.pop("plugin_acme", None)


async def test_what_was_decided_before_holds_from_the_start(lab: Lab) -> None:
    """A process that begins while a provider is disabled never serves it; its plugins are new, so it reloads none."""
    await lab.task_quotas.switch("acme", Switch(mode=Mode.DISABLED, since=NOW))
    await lab.task_quotas.request_reload()
    await lab.control_sync.begin()

    assert "disabled" in (lab.registry.route("acme", "words").closed or "")
    (report,) = await alive(lab.task_quotas, NOW)
    assert (report.id, report.role, report.revision, report.generation) == ("p1", "worker", 2, 1)
    assert [plugin.version for plugin in report.plugins if plugin.name == "acme"] == ["1.0"]


async def test_a_switch_holds_while_the_database_is_unavailable(lab: Lab) -> None:
    """A process that can read nothing keeps to what it knew, and follows again when it can."""
    await lab.control_sync.begin()
    await lab.task_quotas.switch("acme", Switch(mode=Mode.DRAINING, since=NOW))
    await lab.control_sync.look()
    await lab.task_quotas.switch("acme", Switch(mode=Mode.ENABLED, since=NOW))
    lab.task_quotas.reachable = False
    await lab.control_sync.look()
    assert lab.registry.route("acme", "words").closed is not None

    lab.task_quotas.reachable = True
    await lab.control_sync.look()
    assert lab.registry.route("acme", "words").closed is None


async def test_a_replaced_provider_is_closed_when_its_last_user_is_done(lab: Lab) -> None:
    """Who asked before the reload keeps the old provider, open; it is closed once nobody holds it."""
    await lab.control_sync.begin()
    reported: list[int] = []
    lab.control_sync.on_reload = lambda: reported.append(1)
    held = lab.registry.route("acme", "words")
    closed = sys.modules["plugin_acme"].CLOSED
    lab.folder.install("acme", "2.0", NOTING)
    await lab.task_quotas.request_reload()
    await lab.reloaded(1)
    await lab.control_sync.look()

    assert lab.registry.route("acme", "words").provider is not held.provider
    assert (closed, reported) == ([], [1])
    del held
    await lab.control_sync.look()
    assert closed == ["1.0"]
    assert sys.modules["plugin_acme"].CLOSED == []


async def test_a_process_reports_news_at_once_and_else_that_it_lives(lab: Lab) -> None:
    """It counts as gone when it told nothing for a while, or that it ends."""
    await lab.control_sync.begin()
    lab.now += timedelta(seconds=9)
    await lab.control_sync.look()
    assert (await alive(lab.task_quotas, lab.now))[0].seen == NOW
    lab.now += timedelta(seconds=1)
    await lab.control_sync.look()
    assert (await alive(lab.task_quotas, lab.now))[0].seen == lab.now
    assert len(await alive(lab.task_quotas, lab.now + ALIVE)) == 1
    assert await alive(lab.task_quotas, lab.now + ALIVE + timedelta(seconds=1)) == []

    await lab.control_sync.end()
    assert await alive(lab.task_quotas, lab.now) == []


async def test_a_forced_plugin_is_loaded_anew_once(lab: Lab) -> None:
    """A later request without a name leaves it alone."""
    await lab.control_sync.begin()
    first = lab.registry.providers["acme"]
    await lab.task_quotas.request_reload("acme")
    await lab.reloaded(1)
    second = lab.registry.providers["acme"]
    await lab.task_quotas.request_reload()
    await lab.reloaded(2)

    assert second is not first
    assert lab.registry.providers["acme"] is second
