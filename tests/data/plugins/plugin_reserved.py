"""A plugin whose model has a param with the name of a field that every task has."""

from collections.abc import Iterable

from polyrelay import Disabled, Env, Model, Params, Provider, TaskType, hookimpl


class Taking(Params, frozen=True):
    """Names a param as a field that every task has."""

    prompt: str
    metadata: str


@hookimpl
def register_providers(env: Env) -> Iterable[Provider]:
    """One provider with that model."""
    model = Model(name="m", type=TaskType.TEXT, params=Taking, timeout_s=1)
    return [Provider("taking", [Disabled([model], "never")])]
