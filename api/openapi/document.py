"""
OpenAPI 3.1 description of the API, made at the start from the shapes of `api.views` and the models' own params.

It is written by hand and not derived from the handlers, because the shape of a create's body depends on the model; a
test compares it with the routes.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

import msgspec

from api.openapi.access import SECURITY, SECURITY_SCHEMES, access_paths, guarded
from api.openapi.operators import operator_paths
from api.openapi.relay import COMPONENTS, relay_paths
from api.openapi.schemas import Json, Schemas, json_answer, problems
from api.openapi.tasks import task_paths
from api.requests import CatalogueQuery
from api.routes.catalogue import ModelList, ProviderList
from api.routes.health import Health
from api.views.tasks import Envelope
from core.registry import Registry
from services.runtime.readiness import Readiness

_ABOUT: Final = """\
One request for every provider: post an image, video or text task, get its id at once, read its result later.

Every response has the envelope `{"success", "data", "message"}`; one that reports an error adds
`"error": {"code", "message", "details", "request_id"}`. Send `X-Request-Id` to have your own id in the logs.
"""


def document(registry: Registry) -> bytes:
    """The description as JSON, with the models of that registry."""
    schemas = Schemas()
    paths = {
        **task_paths(registry, schemas),
        "/api/v1/ai/models": {"get": _models(schemas)},
        "/api/v1/ai/providers": {"get": _providers(schemas)},
        **operator_paths(schemas),
        **access_paths(schemas),
        **relay_paths(),
        "/health": {"get": _health(schemas)},
        "/ready": {"get": _ready(schemas)},
        "/metrics": {"get": _metrics()},
    }
    schemas.components.update(COMPONENTS)
    info = {"title": "polyrelay", "version": _version(), "description": _ABOUT}
    guarded(paths, schemas)
    components = {"schemas": schemas.components, "securitySchemes": SECURITY_SCHEMES}
    return msgspec.json.encode(
        {"openapi": "3.1.0", "info": info, "security": SECURITY, "paths": paths, "components": components}
    )


def _models(schemas: Schemas) -> Json:
    return {
        "tags": ["catalogue"],
        "operationId": "list_models",
        "summary": "List models with the JSON Schema of their params",
        "parameters": schemas.parameters(CatalogueQuery),
        "responses": {
            "200": json_answer(schemas.of(Envelope[ModelList]), "The models."),
            **problems(schemas, 422, 500),
        },
    }


def _providers(schemas: Schemas) -> Json:
    return {
        "tags": ["catalogue"],
        "operationId": "list_providers",
        "summary": "List providers and the plugins that brought them",
        "responses": {
            "200": json_answer(schemas.of(Envelope[ProviderList]), "The providers."),
            **problems(schemas, 500),
        },
    }


def _health(schemas: Schemas) -> Json:
    return {
        "tags": ["operations"],
        "operationId": "health",
        "security": [],
        "summary": "Whether the process responds",
        "responses": {"200": json_answer(schemas.of(Health), "It does.")},
    }


def _ready(schemas: Schemas) -> Json:
    readiness = schemas.of(Readiness)
    return {
        "tags": ["operations"],
        "operationId": "ready",
        "security": [],
        "summary": "Whether MongoDB, the queue and the result store respond",
        "responses": {
            "200": json_answer(readiness, "All respond."),
            "503": json_answer(readiness, "At least one does not."),
        },
    }


def _metrics() -> Json:
    text = {"description": "Counters.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {
        "tags": ["operations"],
        "operationId": "metrics",
        "security": [],
        "summary": "Counters in Prometheus' text format",
        "responses": {"200": text},
    }


def _version() -> str:
    try:
        return version("polyrelay")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0"
