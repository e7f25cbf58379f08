"""The one hook of a provider plugin, found through the entry-point group `polyrelay.providers`."""

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
    The providers of this plugin.

    Called once per process, without an event loop: construct, do not connect.
    """


def providers_of(plugin: object, env: Env, *, name: str | None = None) -> list[Provider]:
    """
    What a plugin's hook answers. A manager for each plugin, so that one plugin's mistakes are seen as its own.

    Args:
        plugin: The module or object that its entry point names.
        env: Handed to the hook.
        name: Of the entry point; named in messages.

    Raises:
        IncompatibleApi: It is written for another version of the plugin API.
        TypeError: It has no hook of this name, or one that answers something else than providers.
        Exception: Whatever the hook raises.
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
