"""
Registry of the providers of this process, which plugins register through entry points.

Plugins are isolated from each other: one that cannot be loaded is reported and left out, the others are served.
"""

import difflib
import importlib
from collections.abc import Container, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final
from weakref import WeakSet

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
    The result of loading one plugin.

    Attributes:
        name: Name of its entry point.
        package: Its distribution, or None where it is unknown.
        version: Version of that distribution.
        providers: Names of the providers that it registered.
        error: Why it, or its latest reload, failed, in one sentence; None where it was loaded.
    """

    name: str
    package: str | None = None
    version: str | None = None
    providers: tuple[str, ...] = ()
    error: str | None = None


class Route(Struct, frozen=True, kw_only=True, eq=False, weakref=True):
    """The provider, model and service for a request, and how the operator had set the provider at that time."""

    provider: Provider
    model: Model
    service: Service
    switch: Switch | None = None

    @property
    def unavailable(self) -> str | None:
        """Why the service cannot work in this process, or None."""
        return self.service.reason if isinstance(self.service, Disabled) else None

    @property
    def closed(self) -> str | None:
        """Why no new task can be created for it, or None."""
        switched_off = self.switch is not None and self.switch.refuses_new_tasks
        return self.unavailable or (self.switch.text if self.switch and switched_off else None)


class Registry:
    """
    The providers by name.

    Args:
        providers: In the order of registration; names are unique.
        reports: One for each installed plugin.

    Attributes:
        switches: The operator's setting by provider; a provider without one is enabled.
        routes_in_use: The routes that a request or step still refers to; their providers must not be closed.
    """

    def __init__(self, providers: Iterable[Provider], reports: Iterable[PluginReport] = ()) -> None:
        self.providers: Mapping[str, Provider] = {provider.name: provider for provider in providers}
        self.reports = tuple(reports)
        self.switches: Mapping[str, Switch] = {}
        self.routes_in_use: WeakSet[Route] = WeakSet()

    def route(self, provider: str, model: str) -> Route:
        """
        The route for that model of that provider, available or not.

        Raises:
            UnknownProvider: There is no such provider; the message lists all providers.
            UnknownModel: The provider does not serve the model; the message lists those that it serves.
        """
        found = self._provider(provider)
        try:
            served, service = found.route(model)
        except KeyError:
            raise UnknownModel([_unknown("model", model, [served.name for served in found.models])]) from None
        return self._in_use(provider, served, service)

    def route_for(self, provider: str, model: str, task_type: TaskType) -> Route:
        """
        The route for a new task of that type.

        Raises:
            UnknownProvider: There is no such provider; the message lists all providers.
            UnknownModel: The provider does not serve the model, or the model has another type; the message lists the
                models of this type.
            ProviderUnavailable: No new task can be created for it; the message says why.
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
        The route for a relayed call of that provider's API, available or not. The model need not be in the catalogue.

        Raises:
            UnknownProvider: There is no such provider; the message lists all providers.
            UnknownModel: No service of the provider can relay calls.
        """
        found = self._provider(provider)
        for service in found.services:
            if isinstance(service, Relays):
                served, relay = service.relay_of(model)
                return self._in_use(provider, served, relay)
        for service in found.services:
            if isinstance(service, Disabled):
                served = Model(name=model, type=TaskType.IMAGE, params=Params, timeout_s=0)
                return self._in_use(provider, served, service)
        raise UnknownModel([_unknown("model", model, (), f"{provider} has no API that is relayed; ")])

    def route_of(self, task: Task, choice: Choice | Attempt) -> Route:
        """
        The route for a choice or an attempt of a task.

        Raises:
            UnknownProvider, UnknownModel: This process does not serve it.
        """
        find = self.route if task.relay is None else self.relay_route
        return find(choice.provider, choice.model)

    def _in_use(self, provider: str, model: Model, service: Service) -> Route:
        found, switch = self._provider(provider), self.switches.get(provider)
        route = Route(provider=found, model=model, service=service, switch=switch)
        self.routes_in_use.add(route)
        return route

    def _of_type(self, provider: str, task_type: TaskType) -> Sequence[str]:
        return [served.name for served in self._provider(provider).models if served.type is task_type]

    def _provider(self, name: str) -> Provider:
        try:
            return self.providers[name]
        except KeyError:
            raise UnknownProvider([_unknown("provider", name, self.providers)]) from None

    async def aclose(self) -> None:
        """Close every provider; errors are logged."""
        for provider in self.providers.values():
            try:
                await provider.aclose()
            except Exception:  # plugin code
                log.exception("provider_close_failed", provider=provider.name)


def installed_plugins() -> Sequence[EntryPoint]:
    """
    The entry points of the plugins that are installed now, in the same order in every process.

    The server's own plugins come first, so that no other plugin can register the name of a built-in provider.
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
        env: Passed to each plugin.
        found: Entry points to load; by default those of the group `polyrelay.providers`.

    Raises:
        ConfigurationError: A setting that a built-in provider reads is wrong. It is the operator's mistake, so it is
            not reported as a failed plugin.
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
    The providers of one plugin, and the report about it. There are no providers where it cannot be loaded.

    Args:
        entry_point: The plugin's entry point.
        env: Passed to the plugin.
        taken: Names of providers that other plugins registered.

    Raises:
        ConfigurationError: See `load_registry`.
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
    """The message for a caller about a model for which no new task can be created."""
    if route.unavailable is not None:
        return f"{route.provider.name} cannot serve {route.model.name} here: {route.unavailable}"
    return f"{route.provider.name} takes no new tasks: it is {route.closed}"


def _providers_of(entry_point: EntryPoint, env: Env) -> list[Provider]:
    providers = hooks.providers_of(entry_point.load(), env, name=entry_point.name)
    for provider in providers:
        _refuse_reserved(provider)
    return providers


def _refuse_reserved(provider: Provider) -> None:
    """Refuse a param with the name of a common field, because it would never get a value."""
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
