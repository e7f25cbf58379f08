"""A plugin that answers one provider instead of several."""

from polyrelay import Env, Provider, hookimpl


@hookimpl
def register_providers(env: Env) -> Provider:
    """Answer what cannot be iterated."""
    return Provider("alone", [])
