"""A plugin that forgot to mark its hook."""

from polyrelay import Env, Provider


def register_providers(env: Env) -> list[Provider]:
    """Never called."""
    return [Provider("never", [])]
