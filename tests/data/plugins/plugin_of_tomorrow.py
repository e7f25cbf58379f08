"""A plugin for a plugin API that does not exist yet."""

from polyrelay import Env, Provider, hookimpl

POLYRELAY_API = ">=99,<100"


@hookimpl
def register_providers(env: Env) -> list[Provider]:
    """Never called."""
    raise AssertionError("the hook of an incompatible plugin was called")
