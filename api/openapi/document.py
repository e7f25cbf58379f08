"""
The API's OpenAPI 3.1 description, made once at the start from the shapes of `api.views` and the models' own params.

Written here and not derived from the handlers, because a create body's shape depends on the model; a test holds it
against the routes.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

import msgspec

from api.openapi.access import LINK, SECURITY, SECURITY_SCHEMES, access_paths, guarded
from api.openapi.examples import EXAMPLES
from api.openapi.relay import COMPONENTS, relay_paths
from api.openapi.schemas import IDEMPOTENCY_KEY, Json, Schemas, json_answer, problems
from api.requests import REPLAYED, TASK_ID, CatalogueQuery, ListQuery
from api.routes.admin import ProcessList, ReloadOrder, RequestedReload, SwitchedProvider, SwitchOrder
from api.routes.audit import AuditList, AuditListQuery
from api.routes.catalogue import ModelList, ProviderList
from api.routes.health import Health
from api.views.task_actions import CancelledTask, CreatedTask, RemovedTask, RetriedTask
from api.views.tasks import Envelope, TaskList, TaskView
from core.registry import Registry
from polyrelay import TaskType
from services.runtime.readiness import Readiness
from services.tasks.create_fields import CommonFields

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
_CREATED_HEADERS: Final = {
    "Location": {"description": "Where its result is.", "schema": {"type": "string"}},
    REPLAYED: {
        "description": "`true` where the task was there already: the request had come before.",
        "schema": {"type": "string"},
    },
}
_PROVIDER: Final = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_ABOUT: Final = """\
One request for every provider: post an image, video or text task, get its id at once, read its result later.

Every answer has the envelope `{"success", "data", "message"}`; one that says what went wrong adds
`"error": {"code", "message", "details", "request_id"}`. Send `X-Request-Id` to have your own id in the logs.
"""


def document(registry: Registry) -> bytes:
    """The description as JSON, for the models of that registry."""
    schemas = Schemas()
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


def _create(kind: TaskType, registry: Registry, schemas: Schemas) -> Json:
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
        "parameters": [IDEMPOTENCY_KEY],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"oneOf": bodies}, "examples": examples}},
        },
        "responses": {
            "201": {
                **json_answer(schemas.of(Envelope[CreatedTask]), "The task is stored and will be worked on."),
                "headers": _CREATED_HEADERS,
            },
            **problems(schemas, 400, 413, 415, 422, 429, 500, 503),
        },
    }


def _result(schemas: Schemas) -> Json:
    return {
        "tags": ["tasks"],
        "operationId": "get_task_result",
        "summary": "Read a task and its result",
        "parameters": [_TASK],
        "responses": {
            "200": json_answer(schemas.of(Envelope[TaskView]), "The task, whatever its status."),
            **problems(schemas, 404, 500, 503),
        },
    }


def _file(schemas: Schemas) -> Json:
    content: Json = {"image/*": {"schema": {}}, "video/*": {"schema": {}}}
    return {
        "tags": ["tasks"],
        "security": [*SECURITY, {"link": []}],
        "operationId": "get_task_file",
        "summary": "Download a stored file of a result",
        "parameters": [_TASK, _INDEX, *LINK],
        "responses": {
            "200": {"description": "The file.", "content": content},
            "206": {"description": "The range that the header `Range` asked for.", "content": content},
            "304": {"description": "The file has the ETag of `If-None-Match`."},
            **problems(schemas, 404, 416, 500, 503),
        },
    }


def _cancel(schemas: Schemas) -> Json:
    return {
        "tags": ["tasks"],
        "operationId": "cancel_task",
        "summary": "Cancel a task",
        "description": "A task that was not submitted ends at once and never is. For one that was, a worker asks the"
        " vendor to stop, where it can be asked; the vendor may still finish and bill it. Twice is the same as once.",
        "parameters": [_TASK],
        "responses": {
            "200": json_answer(schemas.of(Envelope[CancelledTask]), "It was cancelled, or is about to be."),
            **problems(schemas, 404, 409, 500, 503),
        },
    }


def _retry(schemas: Schemas) -> Json:
    return {
        "tags": ["tasks"],
        "operationId": "retry_task",
        "summary": "Do a failed task once more",
        "description": "With as much time as it had at first, and its first choice first. After an unknown outcome this"
        " may pay the vendor a second time.",
        "parameters": [_TASK],
        "responses": {
            "200": json_answer(schemas.of(Envelope[RetriedTask]), "It waits for a worker again."),
            **problems(schemas, 404, 409, 500, 503),
        },
    }


def _remove(schemas: Schemas) -> Json:
    return {
        "tags": ["tasks"],
        "operationId": "delete_task",
        "summary": "Remove a task and its files",
        "description": "An open task is cancelled first: one that was not submitted never is, and the vendor of one"
        " that was is asked to stop, where it can be. What it has begun may still be billed.",
        "parameters": [_TASK],
        "responses": {
            "200": json_answer(schemas.of(Envelope[RemovedTask]), "The task is gone."),
            **problems(schemas, 404, 409, 500, 503),
        },
    }


def _list(schemas: Schemas) -> Json:
    return {
        "tags": ["tasks"],
        "operationId": "list_tasks",
        "summary": "List tasks, newest first",
        "parameters": schemas.parameters(ListQuery),
        "responses": {
            "200": json_answer(schemas.of(Envelope[TaskList]), "One page."),
            **problems(schemas, 422, 500, 503),
        },
    }


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


def _switch(schemas: Schemas, verb: str, summary: str) -> Json:
    return {
        "tags": ["admin"],
        "operationId": f"{verb}_provider",
        "summary": summary,
        "description": "All processes follow within 2 s. Open tasks go on; see the how-to on switching providers.",
        "parameters": [_PROVIDER],
        "requestBody": {"required": False, "content": {"application/json": {"schema": schemas.of(SwitchOrder)}}},
        "responses": {
            "200": json_answer(schemas.of(Envelope[SwitchedProvider]), "It is switched."),
            **problems(schemas, 400, 415, 422, 500, 503),
        },
    }


def _reload(schemas: Schemas) -> Json:
    return {
        "tags": ["admin"],
        "operationId": "reload_providers",
        "summary": "Have all processes look for plugins again",
        "description": "New and changed plugins are loaded, uninstalled ones dropped. One that cannot be loaded stays"
        " as it was; the list of processes tells why.",
        "requestBody": {"required": False, "content": {"application/json": {"schema": schemas.of(ReloadOrder)}}},
        "responses": {
            "202": json_answer(schemas.of(Envelope[RequestedReload]), "They will."),
            **problems(schemas, 400, 415, 422, 500, 503),
        },
    }


def _processes(schemas: Schemas) -> Json:
    return {
        "tags": ["admin"],
        "operationId": "list_processes",
        "summary": "List the processes of the server and what each runs",
        "responses": {
            "200": json_answer(schemas.of(Envelope[ProcessList]), "The processes."),
            **problems(schemas, 500, 503),
        },
    }


def _audit(schemas: Schemas) -> Json:
    return {
        "tags": ["admin"],
        "operationId": "list_audit_rows",
        "summary": "List what was done, newest first",
        "parameters": schemas.parameters(AuditListQuery),
        "responses": {
            "200": json_answer(schemas.of(Envelope[AuditList]), "One page."),
            **problems(schemas, 422, 500, 503),
        },
    }


def _health(schemas: Schemas) -> Json:
    return {
        "tags": ["operations"],
        "operationId": "health",
        "security": [],
        "summary": "Whether the process answers",
        "responses": {"200": json_answer(schemas.of(Health), "It does.")},
    }


def _ready(schemas: Schemas) -> Json:
    readiness = schemas.of(Readiness)
    return {
        "tags": ["operations"],
        "operationId": "ready",
        "security": [],
        "summary": "Whether MongoDB, the queue and the result store answer",
        "responses": {"200": json_answer(readiness, "All answer."), "503": json_answer(readiness, "One does not.")},
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
