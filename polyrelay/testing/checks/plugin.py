"""Checks of a plugin's hook."""

from collections.abc import Iterator

from polyrelay.contract import Model, Service
from polyrelay.env import Env
from polyrelay.provider import Disabled, Provider
from polyrelay.testing.service_fixture import RecordingEnv, SetUp, described
from polyrelay.testing.wire import Wire


def registers_without_network(plugin: SetUp) -> Iterator[str]:
    """The hook returns providers without an event loop and without a connection, with settings and without any."""
    wire = Wire()
    with wire.connected():
        for what, settings in (("`env`", plugin.settings), ("no settings", {})):
            try:
                providers = list(plugin.register(Env(settings)))
            except Exception as error:
                yield f"with {what} it {described(error)}"
            else:
                if not providers:
                    yield f"with {what} it returns no provider: register a Disabled where something is missing"
    if wire.sent or wire.strays:
        where = [*(str(request.url) for request in wire.sent), *wire.strays]
        yield f"it connects to {', '.join(dict.fromkeys(where))}: construct objects, open no connections"


def disabled_without_credentials(plugin: SetUp) -> Iterator[str]:
    """Without its secrets a provider lists the same models, in a Disabled whose reason names what is missing."""
    env = RecordingEnv(plugin.settings)
    with Wire().connected():
        names = {provider.name: _names(provider) for provider in plugin.register(env)}
        if not env.secrets:
            return
        without = list(plugin.register(Env({})))
    for provider in without:
        if missing := sorted(names.pop(provider.name, set()) - _names(provider)):
            yield f"without its secrets {provider.name} does not list {', '.join(missing)}"
        for service in provider.services:
            if not isinstance(service, Disabled):
                yield f"without its secrets {type(service).__name__} of {provider.name} is there: use Disabled"
            elif not any(name in service.reason for name in env.secrets):
                yield f"the reason {service.reason!r} names none of {', '.join(env.secrets)}"
    if names:
        yield f"without its secrets {', '.join(names)} is not registered: register it with a Disabled"


def talks_cover_the_models(plugin: SetUp) -> Iterator[str]:
    """Each service has a talk for each class of params that it accepts, and for cancel and stream where it has them."""
    with Wire().connected():
        pairs = [pair for provider in plugin.register(Env(plugin.settings)) for pair in _pairs(provider)]
    talks = {name: talk for talk in plugin.talks for name in (talk.model, *talk.also)}
    reported: dict[object, list[Model]] = {}
    for model, service in pairs:
        reported.setdefault((type(service), model.params), []).append(model)
    for models in reported.values():
        if not any(model.name in talks for model in models):
            yield f"there is no talk for {' or '.join(model.name for model in models)}"
    for capability, field in (("cancel", "cancelled"), ("stream", "streamed")):
        offering = {type(service) for _, service in pairs if hasattr(service, capability)}
        for kind in offering:
            of_kind = [talks[model.name] for model, service in pairs if type(service) is kind and model.name in talks]
            if of_kind and not any(getattr(talk, field) for talk in of_kind):
                yield f"{kind.__name__} has {capability}, and no talk of it has answers for `{field}`"


def _names(provider: Provider) -> set[str]:
    return {model.name for model in provider.models}


def _pairs(provider: Provider) -> list[tuple[Model, Service]]:
    return [provider.route(model.name) for model in provider.models]
