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
from services.runtime.control_sync import ALIVE, Following, Identity, alive
from services.runtime.live_registry import LiveRegistry
from tests.acceptance.plugin_folder import ANSWERS, PluginFolder
from tests.fakes.control import MemoryControlRoom

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOTING = ANSWERS.replace("        pass", "        CLOSED.append('@version@')") + "\nCLOSED = []\n"
IDENTITY = Identity(id="p1", role="worker", host="h", pid=7)


class Lab:
    """One process."""

    def __init__(self, path: Path) -> None:
        self.now = NOW
        self.folder = PluginFolder(path)
        self.folder.install("acme", "1.0", NOTING)
        self.room = MemoryControlRoom()
        self.registry = LiveRegistry(load_plugins(Env({})), Env({}))
        self.following = Following(self.room, self.registry, IDENTITY, lambda: self.now)

    async def reloaded(self, generation: int) -> None:
        """Once the process has carried out that request."""
        async with asyncio.timeout(10):
            while (await self.room.processes(since=NOW))[0].generation < generation:
                await self.following.look()
                await asyncio.sleep(0.01)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A process with one plugin."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Lab(tmp_path)
    sys.modules.pop("plugin_acme", None)


async def test_what_was_decided_before_holds_from_the_start(lab: Lab) -> None:
    """A process that begins while a provider is disabled never serves it; its plugins are new, so it reloads none."""
    await lab.room.switch("acme", Switch(mode=Mode.DISABLED, since=NOW))
    await lab.room.request_reload()
    await lab.following.begin()

    assert "disabled" in (lab.registry.route("acme", "words").closed or "")
    (report,) = await alive(lab.room, NOW)
    assert (report.id, report.role, report.revision, report.generation) == ("p1", "worker", 2, 1)
    assert [plugin.version for plugin in report.plugins if plugin.name == "acme"] == ["1.0"]


async def test_a_switch_holds_while_the_database_is_away(lab: Lab) -> None:
    """A process that can read nothing keeps to what it knew, and follows again when it can."""
    await lab.following.begin()
    await lab.room.switch("acme", Switch(mode=Mode.DRAINING, since=NOW))
    await lab.following.look()
    await lab.room.switch("acme", Switch(mode=Mode.ENABLED, since=NOW))
    lab.room.reachable = False
    await lab.following.look()
    assert lab.registry.route("acme", "words").closed is not None

    lab.room.reachable = True
    await lab.following.look()
    assert lab.registry.route("acme", "words").closed is None


async def test_a_replaced_provider_is_closed_when_its_last_user_is_done(lab: Lab) -> None:
    """Who asked before the reload keeps the old provider, open; it is closed once nobody holds it."""
    await lab.following.begin()
    told: list[int] = []
    lab.following.on_reload = lambda: told.append(1)
    held = lab.registry.route("acme", "words")
    closed = sys.modules["plugin_acme"].CLOSED
    lab.folder.install("acme", "2.0", NOTING)
    await lab.room.request_reload()
    await lab.reloaded(1)
    await lab.following.look()

    assert lab.registry.route("acme", "words").provider is not held.provider
    assert (closed, told) == ([], [1])
    del held
    await lab.following.look()
    assert closed == ["1.0"]
    assert sys.modules["plugin_acme"].CLOSED == []


async def test_a_process_tells_news_at_once_and_else_that_it_lives(lab: Lab) -> None:
    """It counts as gone when it told nothing for a while, or that it ends."""
    await lab.following.begin()
    lab.now += timedelta(seconds=9)
    await lab.following.look()
    assert (await alive(lab.room, lab.now))[0].seen == NOW
    lab.now += timedelta(seconds=1)
    await lab.following.look()
    assert (await alive(lab.room, lab.now))[0].seen == lab.now
    assert len(await alive(lab.room, lab.now + ALIVE)) == 1
    assert await alive(lab.room, lab.now + ALIVE + timedelta(seconds=1)) == []

    await lab.following.end()
    assert await alive(lab.room, lab.now) == []


async def test_a_forced_plugin_is_loaded_anew_once(lab: Lab) -> None:
    """A later request without a name leaves it alone."""
    await lab.following.begin()
    first = lab.registry.providers["acme"]
    await lab.room.request_reload("acme")
    await lab.reloaded(1)
    second = lab.registry.providers["acme"]
    await lab.room.request_reload()
    await lab.reloaded(2)

    assert second is not first
    assert lab.registry.providers["acme"] is second
