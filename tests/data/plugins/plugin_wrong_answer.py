"""A plugin that answers something else than providers."""

from polyrelay import Env, hookimpl


@hookimpl
def register_providers(env: Env) -> list[str]:
    """Answer a good name, but no provider."""
    return ["good"]
