"""
Plugins of this process, which can be reloaded while it runs.

A plugin that did not change keeps its objects. A new or changed plugin is imported again; where that fails, its old
modules and providers stay. The server's own plugins are never reloaded, because their modules belong to the server.
"""

import hashlib
import importlib
import site
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from importlib.metadata import Distribution, EntryPoint
from importlib.util import find_spec
from types import ModuleType
from typing import Final

import structlog
from msgspec import Struct, structs

from core.registry import PluginReport, installed_plugins, is_own, load_plugin
from polyrelay import Env, Provider

_OWN_ROOTS: Final = frozenset(
    {"polyrelay", "core", "services", "providers", "repositories", "api", "worker", "cli", "simulator"}
)

log = structlog.get_logger(__name__)


class Plugin(Struct, frozen=True, kw_only=True, eq=False):
    """
    A plugin that was loaded.

    Attributes:
        fingerprint: Identifies the installed files; it changes when they change.
        roots: The plugin's modules are these modules and all below them.
        own: Whether the plugin is part of the server.
    """

    report: PluginReport
    providers: tuple[Provider, ...]
    fingerprint: str
    roots: frozenset[str]
    own: bool


def load_plugins(env: Env, found: Iterable[EntryPoint] | None = None) -> tuple[Plugin, ...]:
    """
    Load all installed plugins for the first time.

    Raises:
        ConfigurationError: See `load_registry`.
    """
    taken: set[str] = set()
    plugins: list[Plugin] = []
    for entry_point in installed_plugins() if found is None else found:
        providers, report = load_plugin(entry_point, env, taken=taken)
        taken.update(report.providers)
        plugins.append(_plugin(entry_point, providers, report))
    return tuple(plugins)


def reload_plugins(
    plugins: Sequence[Plugin],
    env: Env,
    *,
    forced: Collection[str] = (),
    found: Iterable[EntryPoint] | None = None,
) -> tuple[Plugin, ...]:
    """
    Load the plugins that are installed now, and keep those that did not change.

    Imports and calls plugins: run it in a thread, one call at a time.

    Args:
        plugins: The plugins that were loaded before.
        env: Passed to each plugin.
        forced: Names of plugins, or of their providers, that are reloaded also where their files did not change.
        found: Entry points to load; by default all that are installed.
    """
    entries = tuple(installed_plugins() if found is None else found)
    before = {plugin.report.name: plugin for plugin in plugins}
    unchanged = [entry for entry in entries if _stays(entry, before.get(entry.name), forced)]
    stays = {entry.name: before[entry.name] for entry in unchanged}
    kept = {entry.name for entry in entries}
    taken = {provider.name for plugin in plugins if plugin.report.name in kept for provider in plugin.providers}
    now: list[Plugin] = []
    for entry in entries:
        plugin = stays.get(entry.name)
        if plugin is None:
            old = before.get(entry.name)
            plugin = _renewed(entry, old, env, taken=taken - set(_names(old)))
            taken = (taken - set(_names(old))) | set(_names(plugin))
        now.append(plugin)
    _forget_gone(plugins, now)
    return tuple(now)


def owner_of(module: str, plugins: Iterable[Plugin]) -> str | None:
    """The name of the plugin that a module belongs to, or None. For modules of the server's own plugins it is None."""
    others = (plugin for plugin in plugins if not plugin.own)
    return next((each.report.name for each in others if any(_within(module, root) for root in each.roots)), None)


def _stays(entry: EntryPoint, old: Plugin | None, forced: Collection[str]) -> bool:
    if old is None:
        return False
    if old.own:
        return True
    wanted = {old.report.name, *old.report.providers} & set(forced)
    return not wanted and old.report.error is None and old.fingerprint == _fingerprint(entry)


def _renewed(entry: EntryPoint, old: Plugin | None, env: Env, *, taken: Collection[str]) -> Plugin:
    """Reload the plugin, or return the old one where the installed one cannot be loaded."""
    roots = _roots(entry) | (old.roots if old is not None else frozenset())
    removed = _purged(roots)
    _add_paths(entry)
    providers, report = load_plugin(entry, env, taken=taken)
    if report.error is None:
        log.info("plugin_loaded", plugin=entry.name, package=report.package, version=report.version)
        return _plugin(entry, providers, report)
    _purged(roots)
    sys.modules.update(removed)
    if old is None or not old.providers:
        return _plugin(entry, (), report)
    version = report.version or "its new version"
    error = f"{old.report.version or 'the old version'} is kept: {version} was not loaded: {report.error}"
    return structs.replace(old, report=structs.replace(old.report, error=error))


def _forget_gone(before: Iterable[Plugin], now: Iterable[Plugin]) -> None:
    """Remove the modules of uninstalled plugins, so that a later installation is imported again."""
    used = {root for plugin in now for root in plugin.roots}
    names = {plugin.report.name for plugin in now}
    for plugin in before:
        if plugin.report.name not in names:
            _purged(plugin.roots - used)
            log.info("plugin_unloaded", plugin=plugin.report.name, package=plugin.report.package)


def _purged(roots: Collection[str]) -> dict[str, ModuleType]:
    """Remove the modules from `sys.modules` and return them. Running code keeps its references."""
    names = [name for name in list(sys.modules) if any(_within(name, root) for root in roots)]
    return {name: sys.modules.pop(name) for name in names}


def _add_paths(entry: EntryPoint) -> None:
    """Add the paths of a package that was installed in editable mode after the start; they are in its `.pth` file."""
    package = entry.dist
    if package is None or _importable(entry.module):
        return
    for file in package.files or ():
        if file.suffix == ".pth":
            path = package.locate_file(file)
            site.addpackage(str(getattr(path, "parent", "")), file.name, None)
    importlib.invalidate_caches()


def _importable(module: str) -> bool:
    try:
        return find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False


def _plugin(entry: EntryPoint, providers: Sequence[Provider], report: PluginReport) -> Plugin:
    return Plugin(
        report=report,
        providers=tuple(providers),
        fingerprint=_fingerprint(entry),
        roots=_roots(entry),
        own=is_own(entry),
    )


def _names(plugin: Plugin | None) -> tuple[str, ...]:
    return plugin.report.providers if plugin is not None else ()


def _fingerprint(entry: EntryPoint) -> str:
    """Version and hashes of the installed files, from the `RECORD` that the installer wrote."""
    package = entry.dist
    if package is None:
        return entry.value
    recorded = hashlib.sha256((package.read_text("RECORD") or "").encode()).hexdigest()
    return f"{entry.value} {package.name} {package.version} {recorded}"


def _roots(entry: EntryPoint) -> frozenset[str]:
    """The root modules of the plugin: its packages, and the module of its entry point where it lists no files."""
    names = set(_packages(entry.dist)) if entry.dist is not None else set()
    if not any(_within(entry.module, name) for name in names):
        names.add(entry.module.partition(".")[0])
    return frozenset(names - _OWN_ROOTS - sys.stdlib_module_names)


def _packages(package: Distribution) -> Iterator[str]:
    """The topmost packages that belong to this distribution only: below a shared namespace, the packages inside it."""
    files = {file.parts for file in package.files or () if file.suffix == ".py" and ".." not in file.parts}
    for parts in files:
        depths = (depth for depth in range(1, len(parts)) if (*parts[:depth], "__init__.py") in files)
        depth = next(depths, len(parts))
        name = ".".join(parts[:depth]).removesuffix(".py")
        if not parts[0].startswith("__editable__"):
            yield name


def _within(module: str, root: str) -> bool:
    return module == root or module.startswith(f"{root}.")
