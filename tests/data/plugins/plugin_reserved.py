"""A plugin whose model has a param under a name that every task has already."""

from collections.abc import Iterable

from polyrelay import Disabled, Env, Model, Params, Provider, TaskType, hookimpl


class Taking(Params, frozen=True):
    """Takes a name that is taken."""

    prompt: str
    metadata: str


@hookimpl
def register_providers(env: Env) -> Iterable[Provider]:
    """One provider with that model."""
    model = Model(name="m", type=TaskType.TEXT, params=Taking, timeout_s=1)
    return [Provider("taking", [Disabled([model], "never")])]
