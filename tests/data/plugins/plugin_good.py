"""A plugin that registers one provider."""

from polyrelay import Env, Provider, hookimpl


@hookimpl
def register_providers(env: Env) -> list[Provider]:
    """One provider, named by the environment."""
    return [Provider(env.text("GOOD_NAME", "good"), [])]
