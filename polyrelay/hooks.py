"""The one hook of a provider plugin, found through the entry-point group `polyrelay.providers`."""

from collections.abc import Iterable
from typing import Final

import pluggy

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
