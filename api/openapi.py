"""
The API's description in OpenAPI 3.1, made once at the start from the shapes of `api.views` and the models' own params.

Written here and not derived from the handlers, because a create body's shape depends on the model; a test holds it
against the routes.
"""

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from api.admin import ProcessList, ReloadOrder, RequestedReload, SwitchedProvider, SwitchOrder
from api.audit import AuditList, AuditListQuery
from api.catalogue import ModelList, ProviderList
from api.examples import EXAMPLES
from api.health import Health
from api.openapi_relay import COMPONENTS, relay_paths
from api.problems import ProblemAnswer
from api.requests import TASK_ID, CatalogueQuery, ListQuery
from api.views import Answer, CancelledTask, CreatedTask, RemovedTask, RetriedTask, TaskList, TaskView
from core.registry import Registry
from polyrelay import Model, Provider, TaskType
from services.create_fields import CommonFields
from services.readiness import Readiness

Json: TypeAlias = dict[str, Any]

_REFERENCE: Final = "#/components/schemas/{name}"
_TASK: Final = {
    "name": "task_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": TASK_ID},
}
_INDEX: Final = {
    "name": "index",
    "in": "path",
    "required": True,
    "description": "Position in the task's `results`.",
    "schema": {"type": "integer", "minimum": 0},
}
_PROVIDER: Final = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_PROBLEMS: Final = {
    400: "The body is not valid JSON (`malformed_json`).",
    404: "There is no such task or file (`task_not_found`, `file_not_found`).",
    409: "The task is not in a state for that (`not_possible`), or others kept changing it; then try again"
    " (`conflict`).",
    413: "The body is larger than MAX_BODY_BYTES (`body_too_large`).",
    415: "The body is not declared as `application/json` (`unsupported_media_type`).",
    416: "The range lies outside of the file (`range_not_satisfiable`).",
    422: "Fields are wrong; `error.details` names each (`invalid_request`, `unknown_provider`, `unknown_model`).",
    429: "As many tasks wait for the provider as may (`queue_full`, with Retry-After); see UPSTREAM_MAX_QUEUE.",
    500: "A defect of the server; the log has more under the `request_id` (`internal_error`). Or the audit log does not"
    " take what was to be done, and nothing was done (`AUDIT_FAILED`).",
    503: "The provider has no credentials here or was switched off (`provider_unavailable`), or the store cannot be"
    " reached (`store_unavailable`, with Retry-After).",
}
_ABOUT: Final = """\
One request for every provider: post an image, video or text task, get its id at once, read its result later.

Every answer has the envelope `{"success", "data", "message"}`; one that says what went wrong adds
`"error": {"code", "message", "details", "request_id"}`. Send `X-Request-Id` to have your own id in the logs.
"""


def document(registry: Registry) -> bytes:
    """The description as JSON, for the models of that registry."""
    schemas = _Schemas()
    paths = {
        **{f"/api/v1/ai/{kind.value}/task": {"post": _create(kind, registry, schemas)} for kind in TaskType},
        "/api/v1/ai/task/result/{task_id}": {"get": _result(schemas)},
        "/api/v1/ai/task/result/{task_id}/files/{index}": {"get": _file(schemas)},
        "/api/v1/ai/task/{task_id}": {"delete": _remove(schemas)},
        "/api/v1/ai/task/{task_id}/cancel": {"post": _cancel(schemas)},
        "/api/v1/ai/task/{task_id}/retry": {"post": _retry(schemas)},
        "/api/v1/ai/tasks": {"get": _list(schemas)},
        "/api/v1/ai/models": {"get": _models(schemas)},
        "/api/v1/ai/providers": {"get": _providers(schemas)},
        "/api/v1/admin/providers/{name}/enable": {"post": _switch(schemas, "enable", "Have a provider take tasks")},
        "/api/v1/admin/providers/{name}/drain": {"post": _switch(schemas, "drain", "Take no new tasks for a provider")},
        "/api/v1/admin/providers/{name}/disable": {
            "post": _switch(schemas, "disable", "Submit nothing more to a provider")
        },
        "/api/v1/admin/providers/reload": {"post": _reload(schemas)},
        "/api/v1/admin/processes": {"get": _processes(schemas)},
        "/api/v1/audit": {"get": _audit(schemas)},
        **relay_paths(),
        "/health": {"get": _health(schemas)},
        "/ready": {"get": _ready(schemas)},
        "/metrics": {"get": _metrics()},
    }
    schemas.components.update(COMPONENTS)
    info = {"title": "polyrelay", "version": _version(), "description": _ABOUT}
    return msgspec.json.encode(
        {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": schemas.components}}
    )


class _Schemas:
    """Collects the components that operations refer to."""

    def __init__(self) -> None:
        self.components: dict[str, Any] = {}

    def of(self, kind: Any) -> Json:
        """A reference to the schema of a type."""
        (reference,), components = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
        self.components.update(components)
        return reference

    def fields(self, kind: type[Struct], *, prefix: str = "") -> tuple[Json, list[str], str]:
        """A Struct's properties, the required ones and its description; schemas inside of it go by that prefix."""
        template = f"#/components/schemas/{prefix}{{name}}"
        try:
            (reference,), components = msgspec.json.schema_components([kind], ref_template=template)
        except TypeError:  # a plugin's params may use a type that has no JSON Schema
            return {}, [], ""
        schema = components.pop(reference["$ref"].rpartition("/")[2].removeprefix(prefix))
        self.components.update((f"{prefix}{name}", inner) for name, inner in components.items())
        return schema.get("properties", {}), schema.get("required", []), schema.get("description", "")

    def body(self, provider: Provider, model: Model) -> Json:
        """A reference to the schema of the flat body for one model."""
        name = re.sub(r"[^A-Za-z0-9._-]", "-", f"{provider.name}.{model.name}")
        common, required, _ = self.fields(CommonFields)
        own, own_required, about = self.fields(model.params, prefix=f"{name}.")
        named = {"provider": {"const": provider.name}, "model": {"const": model.name}}
        self.components[name] = {
            "title": model.name,
            "description": " ".join(filter(None, [model.description, about])),
            "type": "object",
            "properties": {**common, **named, **own},
            "required": [*required, *own_required],
            "additionalProperties": False,
            "deprecated": model.deprecated is not None,
        }
        return {"$ref": _REFERENCE.format(name=name)}

    def parameters(self, kind: type[Struct]) -> list[Json]:
        """The fields of a Struct as query parameters."""
        properties, _, _ = self.fields(kind)
        return [
            {"name": name, "in": "query", "required": False, "schema": schema, **_described(schema)}
            for name, schema in properties.items()
        ]


def _create(kind: TaskType, registry: Registry, schemas: _Schemas) -> Json:
    models = [
        (provider, model) for provider in registry.providers.values() for model in provider.models if model.type is kind
    ]
    bodies = [schemas.body(provider, model) for provider, model in models] or [schemas.of(CommonFields)]
    known = {(provider.name, model.name) for provider, model in models}
    examples = {
        example["model"]: {"value": example}
        for example in EXAMPLES[kind]
        if (example["provider"], example["model"]) in known
    }
    return {
        "tags": ["tasks"],
        "operationId": f"create_{kind.value}_task",
        "summary": f"Create {'an' if kind is TaskType.IMAGE else 'a'} {kind.value} task",
        "description": "One flat object: the fields of every task (`provider`, `model`, `user_id`, `fallbacks`,"
        " `priority`, `deadline_s`, `metadata`) beside the model's own. An unknown field is refused; an explicit null"
        " counts as unset.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"oneOf": bodies}, "examples": examples}},
        },
        "responses": {
            "201": {
                **_json(schemas.of(Answer[CreatedTask]), "The task is stored and will be worked on."),
                "headers": {"Location": {"description": "Where its result is.", "schema": {"type": "string"}}},
            },
            **_problems(schemas, 400, 413, 415, 422, 429, 500, 503),
        },
    }


def _result(schemas: _Schemas) -> Json:
    return {
        "tags": ["tasks"],
        "operationId": "get_task_result",
        "summary": "Read a task and its result",
        "parameters": [_TASK],
        "responses": {
            "200": _json(schemas.of(Answer[TaskView]), "The task, whatever its status."),
            **_problems(schemas, 404, 500, 503),
        },
    }


def _file(schemas: _Schemas) -> Json:
    content: Json = {"image/*": {"schema": {}}, "video/*": {"schema": {}}}
    return {
        "tags": ["tasks"],
        "operationId": "get_task_file",
        "summary": "Download a stored file of a result",
        "parameters": [_TASK, _INDEX],
        "responses": {
            "200": {"description": "The file.", "content": content},
            "206": {"description": "The range that the header `Range` asked for.", "content": content},
            "304": {"description": "The file has the ETag of `If-None-Match`."},
            **_problems(schemas, 404, 416, 500, 503),
        },
    }


def _cancel(schemas: _Schemas) -> Json:
    return {
        "tags": ["tasks"],
        "operationId": "cancel_task",
        "summary": "Cancel a task",
        "description": "A task that was not submitted ends at once and never is. For one that was, a worker asks the"
        " vendor to stop, where it can be asked; the vendor may still finish and bill it. Twice is the same as once.",
        "parameters": [_TASK],
        "responses": {
            "200": _json(schemas.of(Answer[CancelledTask]), "It was cancelled, or is about to be."),
            **_problems(schemas, 404, 409, 500, 503),
        },
    }


def _retry(schemas: _Schemas) -> Json:
    return {
        "tags": ["tasks"],
        "operationId": "retry_task",
        "summary": "Do a failed task once more",
        "description": "With as much time as it had at first, and its first choice first. After an unknown outcome this"
        " may pay the vendor a second time.",
        "parameters": [_TASK],
        "responses": {
            "200": _json(schemas.of(Answer[RetriedTask]), "It waits for a worker again."),
            **_problems(schemas, 404, 409, 500, 503),
        },
    }


def _remove(schemas: _Schemas) -> Json:
    return {
        "tags": ["tasks"],
        "operationId": "delete_task",
        "summary": "Remove a task and its files",
        "description": "An open task is cancelled first: one that was not submitted never is, and the vendor of one"
        " that was is asked to stop, where it can be. What it has begun may still be billed.",
        "parameters": [_TASK],
        "responses": {
            "200": _json(schemas.of(Answer[RemovedTask]), "The task is gone."),
            **_problems(schemas, 404, 409, 500, 503),
        },
    }


def _list(schemas: _Schemas) -> Json:
    return {
        "tags": ["tasks"],
        "operationId": "list_tasks",
        "summary": "List tasks, newest first",
        "parameters": schemas.parameters(ListQuery),
        "responses": {
            "200": _json(schemas.of(Answer[TaskList]), "One page."),
            **_problems(schemas, 422, 500, 503),
        },
    }


def _models(schemas: _Schemas) -> Json:
    return {
        "tags": ["catalogue"],
        "operationId": "list_models",
        "summary": "List models with the JSON Schema of their params",
        "parameters": schemas.parameters(CatalogueQuery),
        "responses": {"200": _json(schemas.of(Answer[ModelList]), "The models."), **_problems(schemas, 422, 500)},
    }


def _providers(schemas: _Schemas) -> Json:
    return {
        "tags": ["catalogue"],
        "operationId": "list_providers",
        "summary": "List providers and the plugins that brought them",
        "responses": {"200": _json(schemas.of(Answer[ProviderList]), "The providers."), **_problems(schemas, 500)},
    }


def _switch(schemas: _Schemas, verb: str, summary: str) -> Json:
    return {
        "tags": ["admin"],
        "operationId": f"{verb}_provider",
        "summary": summary,
        "description": "All processes follow within 2 s. Open tasks go on; see the how-to on switching providers.",
        "parameters": [_PROVIDER],
        "requestBody": {"required": False, "content": {"application/json": {"schema": schemas.of(SwitchOrder)}}},
        "responses": {
            "200": _json(schemas.of(Answer[SwitchedProvider]), "It is switched."),
            **_problems(schemas, 400, 415, 422, 500, 503),
        },
    }


def _reload(schemas: _Schemas) -> Json:
    return {
        "tags": ["admin"],
        "operationId": "reload_providers",
        "summary": "Have all processes look for plugins again",
        "description": "New and changed plugins are loaded, uninstalled ones dropped. One that cannot be loaded stays"
        " as it was; the list of processes tells why.",
        "requestBody": {"required": False, "content": {"application/json": {"schema": schemas.of(ReloadOrder)}}},
        "responses": {
            "202": _json(schemas.of(Answer[RequestedReload]), "They will."),
            **_problems(schemas, 400, 415, 422, 500, 503),
        },
    }


def _processes(schemas: _Schemas) -> Json:
    return {
        "tags": ["admin"],
        "operationId": "list_processes",
        "summary": "List the processes of the server and what each runs",
        "responses": {
            "200": _json(schemas.of(Answer[ProcessList]), "The processes."),
            **_problems(schemas, 500, 503),
        },
    }


def _audit(schemas: _Schemas) -> Json:
    return {
        "tags": ["admin"],
        "operationId": "list_audit_rows",
        "summary": "List what was done, newest first",
        "parameters": schemas.parameters(AuditListQuery),
        "responses": {
            "200": _json(schemas.of(Answer[AuditList]), "One page."),
            **_problems(schemas, 422, 500, 503),
        },
    }


def _health(schemas: _Schemas) -> Json:
    return {
        "tags": ["operations"],
        "operationId": "health",
        "summary": "Whether the process answers",
        "responses": {"200": _json(schemas.of(Health), "It does.")},
    }


def _ready(schemas: _Schemas) -> Json:
    readiness = schemas.of(Readiness)
    return {
        "tags": ["operations"],
        "operationId": "ready",
        "summary": "Whether MongoDB, the queue and the result store answer",
        "responses": {"200": _json(readiness, "All answer."), "503": _json(readiness, "One does not.")},
    }


def _metrics() -> Json:
    text = {"description": "Counters.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {
        "tags": ["operations"],
        "operationId": "metrics",
        "summary": "Counters in Prometheus' text format",
        "responses": {"200": text},
    }


def _problems(schemas: _Schemas, *statuses: int) -> Json:
    schema = schemas.of(ProblemAnswer)
    return {str(status): _json(schema, _PROBLEMS[status]) for status in statuses}


def _json(schema: Mapping[str, Any], description: str) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _described(schema: Mapping[str, Any]) -> Json:
    """A query parameter's description, which an optional field has inside of its alternatives."""
    options: Iterable[Mapping[str, Any]] = schema.get("anyOf", [schema])
    texts = [option["description"] for option in options if "description" in option]
    return {"description": texts[0]} if texts else {}


def _version() -> str:
    try:
        return version("polyrelay")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0"
