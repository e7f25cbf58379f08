"""Plugins that are installed, upgraded and uninstalled while the process runs."""

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
    """A folder of installed plugins; their modules are removed afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield PluginFolder(tmp_path)
    for name in [name for name in sys.modules if name.startswith("plugin_")]:
        del sys.modules[name]


def by_name(plugins: Sequence[Plugin]) -> dict[str, Plugin]:
    """The plugins of these tests."""
    return {plugin.report.name: plugin for plugin in plugins if not plugin.own}


async def answer(plugin: Plugin) -> str:
    """The version that the plugin's provider returns."""
    (provider,) = plugin.providers
    _, service = provider.route("words")
    outcome = await service.poll(None, "op")  # type: ignore[arg-type]
    (output,) = outcome.outputs  # type: ignore[union-attr]
    assert isinstance(output, TextOutput)
    return output.text


def test_an_unchanged_plugin_keeps_its_objects(folder: PluginFolder) -> None:
    """An unchanged plugin keeps its objects; a plugin of the server is never reloaded, even if it is forced."""
    folder.install("acme", "1.0")
    before = load_plugins(ENV)

    after = reload_plugins(before, ENV, forced=["openai"])

    assert list(after) == list(before)


async def test_a_new_plugin_is_loaded_and_an_uninstalled_one_dropped(folder: PluginFolder) -> None:
    """A reload loads new plugins and drops uninstalled ones, which can be installed again in another version."""
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


async def test_an_upgraded_plugin_is_imported_again_and_the_old_objects_still_work(folder: PluginFolder) -> None:
    """Code that holds the old objects can finish with them."""
    folder.install("acme", "1.0")
    before = load_plugins(ENV)
    folder.install("acme", "2.0")
    after = reload_plugins(before, ENV)

    assert by_name(after)["acme"].report.version == "2.0"
    assert await answer(by_name(after)["acme"]) == "2.0"
    assert await answer(by_name(before)["acme"]) == "1.0"


async def test_changed_files_of_the_same_version_are_seen(folder: PluginFolder) -> None:
    """A wheel that is installed again with the same version is reloaded."""
    folder.install("acme", "1.0")
    before = load_plugins(ENV)
    folder.install("acme", "1.0", ANSWERS.replace("@version@", "1.0, mended"))

    assert await answer(by_name(reload_plugins(before, ENV))["acme"]) == "1.0, mended"


@pytest.mark.parametrize("forced", ["acme", "brand"])
async def test_a_forced_plugin_is_reloaded(folder: PluginFolder, forced: str) -> None:
    """A plugin is reloaded by its own name or its provider's, even if its files did not change."""
    folder.install("acme", "1.0", ANSWERS.replace("@name@", "brand"))
    before = load_plugins(ENV)
    module = folder.path / "plugin_acme.py"
    module.write_text(module.read_text("utf-8").replace('"1.0"', '"1.0, edited"'), "utf-8")

    assert await answer(by_name(reload_plugins(before, ENV))["acme"]) == "1.0"
    assert await answer(by_name(reload_plugins(before, ENV, forced=[forced]))["acme"]) == "1.0, edited"


async def test_a_failed_reload_keeps_the_old_plugin(folder: PluginFolder) -> None:
    """After a failed reload the old modules stay and the report has the reason; the next reload tries again."""
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
    """Neither a new nor an upgraded plugin can take a provider name that another plugin or the server has."""
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
    """A module belongs to the plugin whose distribution contains it, not to one that imports it."""
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
    """A package that several distributions share stays, except for the plugin's own part of it."""
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
