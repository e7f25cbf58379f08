"""A plugin whose hook has another name."""

from polyrelay import Env, Provider, hookimpl


@hookimpl
def register_provider(env: Env) -> list[Provider]:
    """Never called."""
    return [Provider("never", [])]
