"""Operator operations in the API description: providers, plugins, processes and the audit log."""

from typing import Final

from api.openapi.schemas import Json, Schemas, json_answer, problems
from api.routes.admin import ProcessList, ReloadOrder, RequestedReload, SwitchedProvider, SwitchOrder
from api.routes.audit import AuditList, AuditListQuery
from api.views.tasks import Envelope

_PROVIDER: Final = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}


def operator_paths(schemas: Schemas) -> Json:
    """The operations of operators, and the audit log."""
    return {
        "/api/v1/admin/providers/{name}/enable": {"post": _switch(schemas, "enable", "Let a provider take tasks")},
        "/api/v1/admin/providers/{name}/drain": {"post": _switch(schemas, "drain", "Take no new tasks for a provider")},
        "/api/v1/admin/providers/{name}/disable": {
            "post": _switch(schemas, "disable", "Submit nothing more to a provider")
        },
        "/api/v1/admin/providers/reload": {"post": _reload(schemas)},
        "/api/v1/admin/processes": {"get": _processes(schemas)},
        "/api/v1/audit": {"get": _audit(schemas)},
    }


def _switch(schemas: Schemas, verb: str, summary: str) -> Json:
    return {
        "tags": ["admin"],
        "operationId": f"{verb}_provider",
        "summary": summary,
        "description": "All processes apply it within 2 s. What happens to open tasks is in the how-to on switching"
        " providers.",
        "parameters": [_PROVIDER],
        "requestBody": {"required": False, "content": {"application/json": {"schema": schemas.of(SwitchOrder)}}},
        "responses": {
            "200": json_answer(schemas.of(Envelope[SwitchedProvider]), "The provider's mode."),
            **problems(schemas, 400, 415, 422, 500, 503),
        },
    }


def _reload(schemas: Schemas) -> Json:
    return {
        "tags": ["admin"],
        "operationId": "reload_providers",
        "summary": "Reload the plugins of all processes",
        "description": "New and changed plugins are loaded, uninstalled ones removed. A plugin that cannot be loaded"
        " stays as it was; the list of processes says why.",
        "requestBody": {"required": False, "content": {"application/json": {"schema": schemas.of(ReloadOrder)}}},
        "responses": {
            "202": json_answer(schemas.of(Envelope[RequestedReload]), "The reload is requested."),
            **problems(schemas, 400, 415, 422, 500, 503),
        },
    }


def _processes(schemas: Schemas) -> Json:
    return {
        "tags": ["admin"],
        "operationId": "list_processes",
        "summary": "List the processes of the server and the plugins that each runs",
        "responses": {
            "200": json_answer(schemas.of(Envelope[ProcessList]), "The processes."),
            **problems(schemas, 500, 503),
        },
    }


def _audit(schemas: Schemas) -> Json:
    return {
        "tags": ["admin"],
        "operationId": "list_audit_rows",
        "summary": "List the rows of the audit log, newest first",
        "parameters": schemas.parameters(AuditListQuery),
        "responses": {
            "200": json_answer(schemas.of(Envelope[AuditList]), "One page."),
            **problems(schemas, 422, 500, 503),
        },
    }
