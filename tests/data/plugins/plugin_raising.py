"""A plugin whose hook raises."""

from polyrelay import Env, Provider, hookimpl


@hookimpl
def register_providers(env: Env) -> list[Provider]:
    """Fail."""
    raise RuntimeError(f"no luck with {env!r}")
