"""A plugin that returns one provider instead of a list."""

from polyrelay import Env, Provider, hookimpl


@hookimpl
def register_providers(env: Env) -> Provider:
    """Return an object that is not iterable."""
    return Provider("alone", [])
