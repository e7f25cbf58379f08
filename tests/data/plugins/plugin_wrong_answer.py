"""A plugin that returns an object that is not a provider."""

from polyrelay import Env, hookimpl


@hookimpl
def register_providers(env: Env) -> list[str]:
    """Return an object with a valid name that is not a provider."""
    return ["good"]
