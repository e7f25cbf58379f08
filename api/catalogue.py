"""The catalogue: which models and providers there are, and whether they can take tasks."""

import functools
from collections.abc import Iterator
from datetime import date
from typing import Any

import msgspec
from litestar import Controller, get
from msgspec import Struct

from api.parts import Call, tools_of
from api.requests import CatalogueQuery, read_query
from api.views import Answer
from core.errors import FieldProblem, UnknownProvider
from core.registry import Registry
from polyrelay import Disabled, Model, Params, Provider, TaskType


class ModelView(Struct, frozen=True, kw_only=True):
    """A model. `params` is the JSON Schema of what it takes besides the fields that every task has."""

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


class ProviderView(Struct, frozen=True, kw_only=True):
    """A provider and the plugin that brought it."""

    name: str
    plugin: str | None
    package: str | None
    version: str | None
    models: int
    available: bool
    reason: str | None


class FailedPlugin(Struct, frozen=True, kw_only=True):
    """A plugin that was left out, and why."""

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
    """What can be asked for."""

    path = "/api/v1/ai"

    @get("/models")
    async def models(self, request: Call) -> Answer[ModelList]:
        """All models, or those of a provider or type."""
        query = read_query(request, CatalogueQuery)
        registry = tools_of(request).parts.registry
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
        return Answer(data=ModelList(models=models, total=len(models)))

    @get("/providers")
    async def providers(self, request: Call) -> Answer[ProviderList]:
        """All providers, and the plugins that failed."""
        registry = tools_of(request).parts.registry
        providers = [_provider_view(provider, registry) for provider in registry.providers.values()]
        failed = [
            FailedPlugin(plugin=report.name, package=report.package, version=report.version, error=report.error)
            for report in registry.reports
            if report.error is not None
        ]
        return Answer(data=ProviderList(providers=providers, total=len(providers), failed_plugins=failed))


def model_views(registry: Registry) -> Iterator[ModelView]:
    """All models of all providers."""
    for provider in registry.providers.values():
        for service in provider.services:
            reason = service.reason if isinstance(service, Disabled) else None
            for model in service.models:
                yield _model_view(provider, model, reason)


@functools.cache
def params_schema(params: type[Params]) -> dict[str, Any]:
    """The JSON Schema of a model's params, whole in itself."""
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


def _provider_view(provider: Provider, registry: Registry) -> ProviderView:
    by = next((report for report in registry.reports if provider.name in report.providers), None)
    return ProviderView(
        name=provider.name,
        plugin=by.name if by else None,
        package=by.package if by else None,
        version=by.version if by else None,
        models=len(provider.models),
        available=provider.unavailable is None,
        reason=provider.unavailable,
    )
