"""A plugin whose hook is not marked with hookimpl."""

from polyrelay import Env, Provider


def register_providers(env: Env) -> list[Provider]:
    """Never called."""
    return [Provider("never", [])]
