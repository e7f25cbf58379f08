"""Live registry: providers and switches change while the process runs."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Final

import structlog

from core.plugins import Plugin, owner_of, reload_plugins
from core.registry import Registry
from core.switches import Controls, Mode
from polyrelay import Env, Provider

LONGEST_CLOSE_S: Final = 10.0

log = structlog.get_logger(__name__)


class LiveRegistry(Registry):
    """
    As `Registry`, with plugins that are added, removed and replaced.

    A change is made between two callbacks of the event loop. A route that was handed out before keeps its provider,
    which is closed when its last route is garbage-collected.

    Args:
        plugins: The plugins that were loaded at the start.
        env: Handed to plugins.
    """

    def __init__(self, plugins: Sequence[Plugin], env: Env) -> None:
        super().__init__(_providers(plugins), [plugin.report for plugin in plugins])
        self._plugins = tuple(plugins)
        self._env = env
        self._replaced: list[Provider] = []

    def follow(self, controls: Controls) -> None:
        """Switch the providers as the operator decided; each change is logged."""
        for name, switch in controls.switches.items():
            if self.switches.get(name) != switch and (switch.mode is not Mode.ENABLED or name in self.switches):
                log.info("provider_switched", provider=name, mode=switch.mode.value, reason=switch.reason)
        self.switches = dict(controls.switches)

    async def reload(self, *, forced: Collection[str] = ()) -> None:
        """
        Replace the plugins by those that are installed now.

        Plugins are imported in a thread, so the event loop is not blocked. Two calls must not run at once.

        Args:
            forced: Plugins or providers that are loaded again even if they look unchanged.
        """
        plugins = await asyncio.to_thread(reload_plugins, self._plugins, self._env, forced=forced)
        before = self.providers
        self._plugins = plugins
        self.providers = {provider.name: provider for provider in _providers(plugins)}
        self.reports = tuple(plugin.report for plugin in plugins)
        now = set(map(id, self.providers.values()))
        self._replaced += [provider for provider in before.values() if id(provider) not in now]
        log.info("plugins_reloaded", plugins=len(plugins), replaced=len(self._replaced))

    async def close_unused(self) -> None:
        """Close replaced providers that no route refers to."""
        used = {id(route.provider) for route in self.routes_in_use}
        unused = [provider for provider in self._replaced if id(provider) not in used]
        self._replaced = [provider for provider in self._replaced if id(provider) in used]
        for provider in unused:
            await _closed(provider)

    async def aclose(self) -> None:
        """Close every provider, also the replaced ones."""
        replaced, self._replaced = self._replaced, []
        for provider in replaced:
            await _closed(provider)
        await super().aclose()

    def plugin_of(self, module: str) -> str | None:
        """The plugin that a module belongs to, or None. Thread-safe."""
        return owner_of(module, self._plugins)


def _providers(plugins: Sequence[Plugin]) -> list[Provider]:
    return [provider for plugin in plugins for provider in plugin.providers]


async def _closed(provider: Provider) -> None:
    try:
        async with asyncio.timeout(LONGEST_CLOSE_S):
            await provider.aclose()
    except (Exception, SystemExit):  # plugin code, or a timeout
        log.exception("provider_close_failed", provider=provider.name)
    else:
        log.info("provider_closed", provider=provider.name)
