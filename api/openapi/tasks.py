"""Task operations in the API description: create, read, list, cancel, retry, delete."""

from typing import Final

from api.openapi.access import LINK, SECURITY
from api.openapi.examples import EXAMPLES
from api.openapi.schemas import IDEMPOTENCY_KEY, Json, Schemas, json_answer, problems
from api.requests import REPLAYED, TASK_ID, ListQuery
from api.views.task_actions import CancelledTask, CreatedTask, RemovedTask, RetriedTask
from api.views.tasks import Envelope, TaskList, TaskView
from core.registry import Registry
from polyrelay import TaskType
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
    "Location": {"description": "The path of the task's result.", "schema": {"type": "string"}},
    REPLAYED: {
        "description": "`true` if an earlier request with the same idempotency key created the task.",
        "schema": {"type": "string"},
    },
}


def task_paths(registry: Registry, schemas: Schemas) -> Json:
    """The operations on tasks; a create has a body for each model of the registry."""
    return {
        **{f"/api/v1/ai/{kind.value}/task": {"post": _create(kind, registry, schemas)} for kind in TaskType},
        "/api/v1/ai/task/result/{task_id}": {"get": _result(schemas)},
        "/api/v1/ai/task/result/{task_id}/files/{index}": {"get": _file(schemas)},
        "/api/v1/ai/task/{task_id}": {"delete": _delete(schemas)},
        "/api/v1/ai/task/{task_id}/cancel": {"post": _cancel(schemas)},
        "/api/v1/ai/task/{task_id}/retry": {"post": _retry(schemas)},
        "/api/v1/ai/tasks": {"get": _list(schemas)},
    }


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
        " `priority`, `deadline_s`, `metadata`) and the model's own. An unknown field is refused; an explicit null"
        " counts as unset.",
        "parameters": [IDEMPOTENCY_KEY],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"oneOf": bodies}, "examples": examples}},
        },
        "responses": {
            "201": {
                **json_answer(schemas.of(Envelope[CreatedTask]), "The task is stored; a worker submits it."),
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
            "206": {"description": "The range that the header `Range` names.", "content": content},
            "304": {"description": "The file has the ETag of `If-None-Match`."},
            **problems(schemas, 404, 416, 500, 503),
        },
    }


def _cancel(schemas: Schemas) -> Json:
    return {
        "tags": ["tasks"],
        "operationId": "cancel_task",
        "summary": "Cancel a task",
        "description": "A task that was not submitted is cancelled at once and never submitted. If it was submitted, a"
        " worker asks the vendor to stop, where the vendor allows that; the vendor may still finish and bill it."
        " Repeating the request changes nothing.",
        "parameters": [_TASK],
        "responses": {
            "200": json_answer(
                schemas.of(Envelope[CancelledTask]), "The task is cancelled, or its cancellation is requested."
            ),
            **problems(schemas, 404, 409, 500, 503),
        },
    }


def _retry(schemas: Schemas) -> Json:
    return {
        "tags": ["tasks"],
        "operationId": "retry_task",
        "summary": "Retry a failed task",
        "description": "With its full time limit again, starting with the first choice. After an unknown outcome the"
        " vendor may bill a second time.",
        "parameters": [_TASK],
        "responses": {
            "200": json_answer(schemas.of(Envelope[RetriedTask]), "The task is pending again."),
            **problems(schemas, 404, 409, 500, 503),
        },
    }


def _delete(schemas: Schemas) -> Json:
    return {
        "tags": ["tasks"],
        "operationId": "delete_task",
        "summary": "Delete a task and its files",
        "description": "An open task is cancelled first: if it was not submitted, it never is; if it was, the vendor is"
        " asked to stop, where the vendor allows that. What the vendor has begun may still be billed.",
        "parameters": [_TASK],
        "responses": {
            "200": json_answer(schemas.of(Envelope[RemovedTask]), "The task is deleted."),
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
