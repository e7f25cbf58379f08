"""
The providers of this process: found through entry points, each plugin on its own.

A plugin that cannot be loaded is reported and left out; the others are served.
"""

import difflib
import importlib
from collections.abc import Container, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import structlog
from msgspec import Struct

from core.attempts import Attempt
from core.errors import ConfigurationError, FieldProblem, ProviderUnavailable, UnknownModel, UnknownProvider
from core.relay_contract import Relays
from core.switches import Switch
from core.tasks import Choice, Task
from polyrelay import Disabled, Env, Model, Params, Provider, Service, TaskType, hooks
from polyrelay.contract import RESERVED_FIELDS

OWN_DISTRIBUTION: Final = "polyrelay"

log = structlog.get_logger(__name__)


class PluginReport(Struct, frozen=True, kw_only=True):
    """
    What became of one plugin.

    Attributes:
        name: Of its entry point.
        package: Its distribution, or None where unknown.
        version: Of that distribution.
        providers: Names that it registered.
        error: Why it was left out, or why its latest reload was not taken, in one sentence, or None.
    """

    name: str
    package: str | None = None
    version: str | None = None
    providers: tuple[str, ...] = ()
    error: str | None = None


class Route(Struct, frozen=True, kw_only=True, eq=False, weakref=True):
    """Where a request for a model goes, and how its provider was switched at that moment."""

    provider: Provider
    model: Model
    service: Service
    switch: Switch | None = None

    @property
    def unavailable(self) -> str | None:
        """Why it cannot work in this process at all, or None."""
        return self.service.reason if isinstance(self.service, Disabled) else None

    @property
    def closed(self) -> str | None:
        """Why no new task can be taken for it, or None."""
        switched_off = self.switch is not None and self.switch.refuses_new_tasks
        return self.unavailable or (self.switch.text if self.switch and switched_off else None)


class Registry:
    """
    The providers by name.

    Args:
        providers: Registered in this order; names are unique.
        reports: One for each plugin that was looked at.

    Attributes:
        switches: What an operator decided, by provider; one that is missing is enabled.
    """

    def __init__(self, providers: Iterable[Provider], reports: Iterable[PluginReport] = ()) -> None:
        self.providers: Mapping[str, Provider] = {provider.name: provider for provider in providers}
        self.reports = tuple(reports)
        self.switches: Mapping[str, Switch] = {}

    def route(self, provider: str, model: str) -> Route:
        """
        Where that model of that provider is served, available or not.

        Raises:
            UnknownProvider: No such provider; names those that there are.
            UnknownModel: The provider does not serve it; names those that it serves.
        """
        found = self._provider(provider)
        try:
            served, service = found.route(model)
        except KeyError:
            raise UnknownModel([_unknown("model", model, [served.name for served in found.models])]) from None
        return Route(provider=found, model=served, service=service, switch=self.switches.get(provider))

    def route_for(self, provider: str, model: str, task_type: TaskType) -> Route:
        """
        Where a new task of that type goes.

        Raises:
            UnknownProvider: No such provider; names those that there are.
            UnknownModel: The provider does not serve it, or makes something else with it; names those of this type.
            ProviderUnavailable: It cannot take tasks; says why.
        """
        try:
            route = self.route(provider, model)
        except UnknownModel:
            raise UnknownModel([_unknown("model", model, self._of_type(provider, task_type))]) from None
        if route.model.type is not task_type:
            other = f"makes {route.model.type}, not {task_type}; "
            raise UnknownModel([_unknown("model", model, self._of_type(provider, task_type), other)])
        if route.closed is not None:
            raise ProviderUnavailable(refusal(route))
        return route

    def relay_route(self, provider: str, model: str) -> Route:
        """
        Where a call of that provider's own API goes, available or not, whether the catalogue has the model or not.

        Raises:
            UnknownProvider: No such provider; names those that there are.
            UnknownModel: Nothing of the provider's can relay.
        """
        found, switch = self._provider(provider), self.switches.get(provider)
        for service in found.services:
            if isinstance(service, Relays):
                served, relay = service.relay_of(model)
                return Route(provider=found, model=served, service=relay, switch=switch)
        for service in found.services:
            if isinstance(service, Disabled):
                served = Model(name=model, type=TaskType.IMAGE, params=Params, timeout_s=0)
                return Route(provider=found, model=served, service=service, switch=switch)
        raise UnknownModel([_unknown("model", model, (), f"{provider} has no API that is relayed; ")])

    def route_of(self, task: Task, choice: Choice | Attempt) -> Route:
        """
        Where a choice or an attempt of a task leads.

        Raises:
            UnknownProvider, UnknownModel: It is not served here.
        """
        find = self.route if task.relay is None else self.relay_route
        return find(choice.provider, choice.model)

    def _of_type(self, provider: str, task_type: TaskType) -> Sequence[str]:
        return [served.name for served in self._provider(provider).models if served.type is task_type]

    def _provider(self, name: str) -> Provider:
        try:
            return self.providers[name]
        except KeyError:
            raise UnknownProvider([_unknown("provider", name, self.providers)]) from None

    async def aclose(self) -> None:
        """Close every provider, whatever one of them raises."""
        for provider in self.providers.values():
            try:
                await provider.aclose()
            except Exception:  # plugin code
                log.exception("provider_close_failed", provider=provider.name)


def installed_plugins() -> Sequence[EntryPoint]:
    """
    The entry points of the plugins that are installed now, in the same order in every process.

    The server's own come first, so that nobody can take the name of a built-in provider.
    """
    importlib.invalidate_caches()
    found = entry_points(group=hooks.ENTRY_POINTS)
    return sorted(found, key=lambda each: (not is_own(each), each.name, each.value))


def is_own(entry_point: EntryPoint) -> bool:
    """Whether the plugin comes with the server."""
    return entry_point.dist is not None and entry_point.dist.name == OWN_DISTRIBUTION


def load_registry(env: Env, found: Iterable[EntryPoint] | None = None) -> Registry:
    """
    The providers of all installed plugins.

    Args:
        env: Handed to each plugin.
        found: Entry points to load; by default those of the group `polyrelay.providers`.

    Raises:
        ConfigurationError: A setting that a built-in provider reads is wrong: the operator's mistake, not the plugin's.
    """
    providers: dict[str, Provider] = {}
    reports: list[PluginReport] = []
    for entry_point in installed_plugins() if found is None else found:
        new, report = load_plugin(entry_point, env, taken=providers)
        providers.update((provider.name, provider) for provider in new)
        reports.append(report)
    return Registry(providers.values(), reports)


def load_plugin(entry_point: EntryPoint, env: Env, *, taken: Container[str]) -> tuple[list[Provider], PluginReport]:
    """
    The providers of one plugin, and what became of it; none where it cannot be loaded.

    Args:
        entry_point: The plugin's.
        env: Handed to it.
        taken: Names of providers that others registered.

    Raises:
        ConfigurationError: As `load_registry`.
    """
    try:
        new = _providers_of(entry_point, env)
        _refuse_duplicates(new, taken)
    except ConfigurationError:
        raise
    except (Exception, SystemExit) as error:  # a plugin may raise anything; it must not stop the others
        log.exception("plugin_load_failed", plugin=entry_point.name, reason=str(error))
        return [], _report(entry_point, error=f"{type(error).__name__}: {error}")
    return new, _report(entry_point, providers=tuple(provider.name for provider in new))


def refusal(route: Route) -> str:
    """What a caller is told about a model that takes no new tasks."""
    if route.unavailable is not None:
        return f"{route.provider.name} cannot serve {route.model.name} here: {route.unavailable}"
    return f"{route.provider.name} takes no new tasks: it is {route.closed}"


def _providers_of(entry_point: EntryPoint, env: Env) -> list[Provider]:
    providers = hooks.providers_of(entry_point.load(), env, name=entry_point.name)
    for provider in providers:
        _refuse_reserved(provider)
    return providers


def _refuse_reserved(provider: Provider) -> None:
    """A param under the name of a common field would never get its value."""
    for model in provider.models:
        if taken := RESERVED_FIELDS & set(model.params.__struct_fields__):
            names = ", ".join(sorted(taken))
            raise ValueError(f"params of the model {model.name!r} have the names {names}, which every task has already")


def _refuse_duplicates(new: Iterable[Provider], taken: Container[str]) -> None:
    seen: set[str] = set()
    for provider in new:
        if provider.name in taken or provider.name in seen:
            raise ValueError(f"a provider named {provider.name!r} is registered already")
        seen.add(provider.name)


def _report(entry_point: EntryPoint, **outcome: Any) -> PluginReport:
    package = entry_point.dist
    return PluginReport(
        name=entry_point.name,
        package=package.name if package else None,
        version=package.version if package else None,
        **outcome,
    )


def _unknown(field: str, value: str, allowed: Iterable[str], why: str = "") -> FieldProblem:
    names = sorted(allowed)
    close = difflib.get_close_matches(value, names, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    return FieldProblem(field=field, message=f"{why}{meant}allowed: {', '.join(names) or 'none'}", value=value)
