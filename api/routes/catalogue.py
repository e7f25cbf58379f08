"""Catalogue routes: models and providers, and whether they can take tasks."""

import asyncio
import functools
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime
from typing import Any, Final

import msgspec
from litestar import Controller, get
from msgspec import Struct

from api.context import Call, use_cases_of
from api.dependencies import Adapters
from api.requests import CatalogueQuery, read_query
from api.route_policy import RoutePolicy, guarded_by
from api.views.tasks import Envelope
from core.callers import Role
from core.control import ProcessReport, Stall
from core.errors import FieldProblem, StoreUnavailable, UnknownProvider
from core.registry import Registry
from core.switches import Mode
from polyrelay import Disabled, Model, Params, Provider, TaskType
from services.runtime.control_sync import alive
from services.runtime.readiness import PING_TIMEOUT_S

_POLICY: Final = guarded_by(RoutePolicy(access=Role.APP, audit=None))


class ModelView(Struct, frozen=True, kw_only=True):
    """A model. `params` is the JSON Schema of its own params, without the fields of every task."""

    provider: str
    name: str
    type: TaskType
    description: str
    timeout_s: float
    deprecated: date | None
    available: bool
    reason: str | None
    params: dict[str, Any]


class ModelList(Struct, frozen=True, kw_only=True):
    """Models, in the order of their providers."""

    models: list[ModelView]
    total: int


class StallView(Struct, frozen=True, kw_only=True):
    """How often the plugin's code blocked the event loop of one process, and where it did so last."""

    process: str
    role: str
    count: int
    longest_s: float
    last: datetime
    where: str


class ProviderView(Struct, frozen=True, kw_only=True):
    """A provider, its plugin, the mode that an operator set, and how it blocked event loops."""

    name: str
    plugin: str | None
    package: str | None
    version: str | None
    models: int
    available: bool
    reason: str | None
    mode: Mode
    mode_since: datetime | None
    mode_reason: str | None
    stalls: list[StallView]


class FailedPlugin(Struct, frozen=True, kw_only=True):
    """A plugin whose installed version could not be loaded, and why; `version` is the one that is served, if any."""

    plugin: str
    package: str | None
    version: str | None
    error: str


class ProviderList(Struct, frozen=True, kw_only=True):
    """Providers, and the plugins that could not be loaded."""

    providers: list[ProviderView]
    total: int
    failed_plugins: list[FailedPlugin]


class Catalogue(Controller):
    """The routes of the catalogue."""

    path = "/api/v1/ai"

    @get("/models", opt=_POLICY)
    async def models(self, request: Call) -> Envelope[ModelList]:
        """All models, or those of a provider or type."""
        query = read_query(request, CatalogueQuery)
        registry = use_cases_of(request).adapters.registry
        if query.provider is not None and query.provider not in registry.providers:
            allowed = ", ".join(sorted(registry.providers)) or "none"
            raise UnknownProvider(
                [FieldProblem(field="provider", message=f"Allowed: {allowed}.", value=query.provider)]
            )
        models = [
            model
            for model in model_views(registry)
            if query.provider in (None, model.provider) and query.type in (None, model.type)
        ]
        return Envelope(data=ModelList(models=models, total=len(models)))

    @get("/providers", opt=_POLICY)
    async def providers(self, request: Call) -> Envelope[ProviderList]:
        """All providers, and the plugins that failed."""
        adapters = use_cases_of(request).adapters
        registry, stalls = adapters.registry, await _stalls(adapters)
        providers = [_provider_view(provider, registry, stalls) for provider in registry.providers.values()]
        failed = [
            FailedPlugin(plugin=report.name, package=report.package, version=report.version, error=report.error)
            for report in registry.reports
            if report.error is not None
        ]
        return Envelope(data=ProviderList(providers=providers, total=len(providers), failed_plugins=failed))


def model_views(registry: Registry) -> Iterator[ModelView]:
    """All models of all providers."""
    for provider in registry.providers.values():
        for service in provider.services:
            reason = service.reason if isinstance(service, Disabled) else _switched_off(provider, registry)
            for model in service.models:
                yield _model_view(provider, model, reason)


@functools.cache
def params_schema(params: type[Params]) -> dict[str, Any]:
    """The JSON Schema of a model's params, without outside references."""
    try:
        (reference,), components = msgspec.json.schema_components([params], ref_template="#/$defs/{name}")
    except TypeError:  # a plugin's params may use a type that has no JSON Schema
        return {"type": "object"}
    schema = components.pop(reference["$ref"].rpartition("/")[2])
    return {**schema, "$defs": components} if components else schema


def _model_view(provider: Provider, model: Model, reason: str | None) -> ModelView:
    return ModelView(
        provider=provider.name,
        name=model.name,
        type=model.type,
        description=model.description,
        timeout_s=model.timeout_s,
        deprecated=model.deprecated,
        available=reason is None,
        reason=reason,
        params=params_schema(model.params),
    )


async def _stalls(adapters: Adapters) -> Mapping[str, list[StallView]]:
    """By plugin, as all processes reported them; empty where MongoDB is unavailable."""
    found: dict[str, list[StallView]] = {}
    with suppress(StoreUnavailable, TimeoutError):
        for report in await asyncio.wait_for(alive(adapters.control, adapters.clock()), PING_TIMEOUT_S):
            for stall in report.stalls:
                found.setdefault(stall.plugin, []).append(_stall_view(stall, report))
    return found


def _stall_view(stall: Stall, process: ProcessReport) -> StallView:
    return StallView(
        process=process.id,
        role=process.role,
        count=stall.count,
        longest_s=stall.longest_s,
        last=stall.last,
        where=stall.where,
    )


def _switched_off(provider: Provider, registry: Registry) -> str | None:
    switch = registry.switches.get(provider.name)
    return switch.text if switch is not None and switch.refuses_new_tasks else None


def _provider_view(provider: Provider, registry: Registry, stalls: Mapping[str, list[StallView]]) -> ProviderView:
    switch = registry.switches.get(provider.name)
    reason = provider.unavailable or _switched_off(provider, registry)
    by = next((report for report in registry.reports if provider.name in report.providers), None)
    return ProviderView(
        name=provider.name,
        plugin=by.name if by else None,
        package=by.package if by else None,
        version=by.version if by else None,
        models=len(provider.models),
        available=reason is None,
        reason=reason,
        mode=switch.mode if switch else Mode.ENABLED,
        mode_since=switch.since if switch else None,
        mode_reason=switch.reason if switch else None,
        stalls=stalls.get(by.name, []) if by else [],
    )
