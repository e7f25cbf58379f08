"""Plugins that are installed, upgraded and removed while the process runs."""

import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from core.plugins import Plugin, load_plugins, owner_of, reload_plugins
from polyrelay import Env, TextOutput
from tests.acceptance.plugin_folder import ANSWERS, PluginFolder

ENV = Env({})
BROKEN = "raise ImportError('no module named acme_sdk')\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginFolder]:
    """What is installed beside the server; nothing of it stays imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield PluginFolder(tmp_path)
    for name in [name for name in sys.modules if name.startswith("plugin_")]:
        del sys.modules[name]


def by_name(plugins: Sequence[Plugin]) -> dict[str, Plugin]:
    """The plugins of these tests."""
    return {plugin.report.name: plugin for plugin in plugins if not plugin.own}


async def answer(plugin: Plugin) -> str:
    """What its provider answers: its version."""
    (provider,) = plugin.providers
    _, service = provider.route("words")
    outcome = await service.poll(None, "op")  # type: ignore[arg-type]
    (output,) = outcome.outputs  # type: ignore[union-attr]
    assert isinstance(output, TextOutput)
    return output.text


def test_what_did_not_change_stays_the_very_same(folder: PluginFolder) -> None:
    """Neither an unchanged plugin nor one of the server's own is loaded again, even where its name is forced."""
    folder.install("acme", "1.0")
    before = load_plugins(ENV)

    after = reload_plugins(before, ENV, forced=["openai"])

    assert list(after) == list(before)


async def test_a_new_plugin_is_loaded_and_an_uninstalled_one_dropped(folder: PluginFolder) -> None:
    """The plugins are those that are installed; a dropped one can come back in another version."""
    folder.install("acme", "1.0")
    before = load_plugins(ENV)
    folder.uninstall("acme")
    folder.install("other", "1.0")
    without = reload_plugins(before, ENV)
    folder.install("acme", "1.1")
    again = reload_plugins(without, ENV)

    assert (set(by_name(before)), set(by_name(without)), set(by_name(again))) == (
        {"acme"},
        {"other"},
        {"acme", "other"},
    )
    assert await answer(by_name(again)["acme"]) == "1.1"


async def test_an_upgraded_plugin_is_imported_anew_and_the_old_one_works_on(folder: PluginFolder) -> None:
    """Who holds the old objects can finish with them."""
    folder.install("acme", "1.0")
    before = load_plugins(ENV)
    folder.install("acme", "2.0")
    after = reload_plugins(before, ENV)

    assert by_name(after)["acme"].report.version == "2.0"
    assert await answer(by_name(after)["acme"]) == "2.0"
    assert await answer(by_name(before)["acme"]) == "1.0"


async def test_changed_files_of_the_same_version_are_seen(folder: PluginFolder) -> None:
    """A wheel that was installed again under the same version is loaded anew."""
    folder.install("acme", "1.0")
    before = load_plugins(ENV)
    folder.install("acme", "1.0", ANSWERS.replace("@version@", "1.0, mended"))

    assert await answer(by_name(reload_plugins(before, ENV))["acme"]) == "1.0, mended"


@pytest.mark.parametrize("forced", ["acme", "brand"])
async def test_a_forced_plugin_is_loaded_anew(folder: PluginFolder, forced: str) -> None:
    """By its own name or by its provider's, even where the installed files look the same."""
    folder.install("acme", "1.0", ANSWERS.replace("@name@", "brand"))
    before = load_plugins(ENV)
    module = folder.path / "plugin_acme.py"
    module.write_text(module.read_text("utf-8").replace('"1.0"', '"1.0, edited"'), "utf-8")

    assert await answer(by_name(reload_plugins(before, ENV))["acme"]) == "1.0"
    assert await answer(by_name(reload_plugins(before, ENV, forced=[forced]))["acme"]) == "1.0, edited"


async def test_a_failed_reload_keeps_what_was_there(folder: PluginFolder) -> None:
    """Old modules and providers stay, the report says why, others are reloaded, and the next reload tries again."""
    folder.install("acme", "1.0")
    folder.install("other", "1.0")
    before = load_plugins(ENV)
    old_module = sys.modules["plugin_acme"]
    folder.install("acme", "2.0", BROKEN)
    folder.install("other", "2.0")
    kept = reload_plugins(before, ENV)

    assert by_name(kept)["acme"].providers == by_name(before)["acme"].providers
    assert by_name(kept)["acme"].report.version == "1.0"
    assert by_name(kept)["acme"].report.error == (
        "1.0 is kept: 2.0 was not loaded: ImportError: no module named acme_sdk"
    )
    assert sys.modules["plugin_acme"] is old_module
    assert await answer(by_name(kept)["other"]) == "2.0"
    folder.install("acme", "3.0")
    mended = by_name(reload_plugins(kept, ENV))["acme"]
    assert (mended.report.error, await answer(mended)) == (None, "3.0")


def test_a_name_that_is_taken_stays_with_its_owner(folder: PluginFolder) -> None:
    """Neither a new nor an upgraded plugin takes a provider's name from another one, or from the server."""
    folder.install("acme", "1.0")
    folder.install("brand", "1.0")
    before = load_plugins(ENV)
    folder.install("aaa", "1.0", ANSWERS.replace("@name@", "brand"))
    folder.install("acme", "2.0", ANSWERS.replace("@name@", "openai"))
    after = reload_plugins(before, ENV)

    assert by_name(after)["aaa"].report.error == "ValueError: a provider named 'brand' is registered already"
    assert "a provider named 'openai' is registered already" in (by_name(after)["acme"].report.error or "")
    assert [provider.name for provider in by_name(after)["acme"].providers] == ["acme"]
    openai = next(plugin for plugin in after if plugin.report.name == "openai")
    assert openai.own


def test_the_owner_of_a_module_is_known(folder: PluginFolder) -> None:
    """By the packages that the plugin's distribution brings, and not by those that it uses."""
    folder.install("acme", "1.0")
    package = folder.path / "acme_inner"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "deep.py").touch()
    record = folder.path / "polyrelay_acme-1.0.dist-info" / "RECORD"
    record.write_text(record.read_text("utf-8") + "acme_inner/__init__.py,,\nacme_inner/deep.py,,\n", "utf-8")
    importlib.invalidate_caches()
    plugins = load_plugins(ENV)

    assert owner_of("plugin_acme", plugins) == "acme"
    assert owner_of("acme_inner.deep", plugins) == "acme"
    assert [owner_of(name, plugins) for name in ("acme", "acme_inner2", "providers.openai", "json")] == [None] * 4


async def test_a_namespace_is_not_purged_for_one_of_its_plugins(folder: PluginFolder) -> None:
    """A package that several distributions share stays, but for what the plugin itself brings."""
    for name in ("one", "two"):
        inner = folder.path / "shared_ns" / name
        inner.mkdir(parents=True)
        (inner / "__init__.py").touch()
    folder.install("acme", "1.0", "import shared_ns.one, shared_ns.two\n" + ANSWERS)
    record = folder.path / "polyrelay_acme-1.0.dist-info" / "RECORD"
    record.write_text(record.read_text("utf-8") + "shared_ns/one/__init__.py,,\n", "utf-8")
    before = load_plugins(ENV)
    one, two = sys.modules["shared_ns.one"], sys.modules["shared_ns.two"]
    reload_plugins(before, ENV, forced=["acme"])

    assert sys.modules["shared_ns.two"] is two
    assert sys.modules["shared_ns.one"] is not one
