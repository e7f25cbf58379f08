"""Plugin hook: `register_providers`, found through the entry-point group `polyrelay.providers`."""

import sys
from collections.abc import Iterable
from typing import Final

import pluggy

from polyrelay.api_version import check_api
from polyrelay.env import Env
from polyrelay.provider import Provider

PROJECT: Final = "polyrelay"
ENTRY_POINTS: Final = "polyrelay.providers"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_providers(env: Env) -> Iterable[Provider]:  # type: ignore[empty-body]
    """
    Return the providers of this plugin.

    Called once per process, without an event loop: construct objects, open no connections.
    """


def providers_of(plugin: object, env: Env, *, name: str | None = None) -> list[Provider]:
    """
    Call a plugin's hook. Each plugin has a plugin manager of its own, so that an error is attributed to its plugin.

    Args:
        plugin: The module or object that the entry point names.
        env: Passed to the hook.
        name: Name of the entry point, for messages.

    Raises:
        IncompatibleApi: The plugin does not support this version of the plugin API.
        TypeError: The plugin has no hook of this name, or the hook returns something other than providers.
        Exception: Any exception that the hook raises.
    """
    check_api(plugin)
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(sys.modules[__name__])
    manager.register(plugin, name=name)
    manager.check_pending()
    answers: list[Iterable[Provider]] = manager.hook.register_providers(env=env)
    if not answers:
        raise TypeError("no hook register_providers marked with polyrelay.hookimpl")
    providers = [provider for answer in answers for provider in answer]
    for provider in providers:
        if not isinstance(provider, Provider):
            raise TypeError(f"register_providers answered {provider!r}, which is not a polyrelay.Provider")
    return providers
