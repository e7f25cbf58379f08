"""Relay operations in the API description: the vendor's shapes, as far as they are certain."""

from typing import Any, Final, TypeAlias

from api.openapi.schemas import IDEMPOTENCY_KEY
from services.relay.actions import QUERIES, QUERY_OF, VERSION

Json: TypeAlias = dict[str, Any]

COMPONENTS: Final[Json] = {
    "RelaySubmission": {
        "title": "RelaySubmission",
        "description": "As the vendor's page of the capability says; it is sent to the vendor unchanged.",
        "type": "object",
        "properties": {
            "req_key": {"type": "string", "description": "The vendor's name of the capability."},
            "prompt": {"type": "string"},
        },
        "required": ["req_key"],
        "additionalProperties": True,
    },
    "RelayInquiry": {
        "title": "RelayInquiry",
        "description": "The task to query.",
        "type": "object",
        "properties": {
            "req_key": {"type": "string", "description": "The same as in the submit."},
            "task_id": {"type": "string", "description": "From the response to the submit."},
            "req_json": {"type": "string", "description": 'JSON inside a string, such as {"return_url": true}.'},
        },
        "required": ["req_key", "task_id"],
        "additionalProperties": True,
    },
    "RelayEnvelope": {
        "title": "RelayEnvelope",
        "description": "The vendor's response with our id of the task, or our own in the same shape.",
        "type": "object",
        "properties": {
            "code": {"type": "integer", "description": "10000 for success."},
            "data": {"type": ["object", "null"]},
            "message": {"type": "string"},
            "request_id": {"type": "string"},
            "status": {"type": "integer"},
            "time_elapsed": {"type": "string"},
        },
    },
    "GatewayEnvelope": {
        "title": "GatewayEnvelope",
        "description": "An error of the signing gateway: about the caller's key or signature, or about the Action.",
        "type": "object",
        "properties": {
            "ResponseMetadata": {
                "type": "object",
                "properties": {
                    "RequestId": {"type": "string"},
                    "Action": {"type": "string"},
                    "Version": {"type": "string"},
                    "Service": {"type": "string"},
                    "Region": {"type": "string"},
                    "Error": {
                        "type": "object",
                        "properties": {
                            "CodeN": {"type": "integer"},
                            "Code": {"type": "string"},
                            "Message": {"type": "string"},
                        },
                    },
                },
            },
        },
        "required": ["ResponseMetadata"],
    },
}

_ENVELOPE: Final = {"$ref": "#/components/schemas/RelayEnvelope"}
_EITHER: Final = {"anyOf": [_ENVELOPE, {"$ref": "#/components/schemas/GatewayEnvelope"}]}
_STATUSES: Final = {
    "200": "The vendor's response; `code` and `data.status` say what it is.",
    "400": "Refused by the vendor or by this server: the body is wrong or too large, or the signature's time is wrong.",
    "401": "The caller's key or signature is not valid.",
    "403": "The role of the caller's key does not allow that.",
    "404": "There is no such Action or Version.",
    "429": "A limit of the vendor or of this server is reached; try again later.",
    "500": "An internal error of the vendor or of this server.",
    "default": "Any other response of the vendor.",
}


def relay_paths() -> Json:
    """The operations of the relay."""
    actions = [*QUERY_OF, *sorted(QUERIES)]
    return {
        "/": {"post": _call("relay_action", "Call an Action of Volcengine's visual API", actions, required=True)},
        "/v1/submit": {"post": _call("relay_submit", "CVSync2AsyncSubmitTask by a short path", list(QUERY_OF))},
        "/v1/get-result": {"post": _call("relay_get_result", "CVSync2AsyncGetResult by a short path", sorted(QUERIES))},
    }


def _call(name: str, summary: str, actions: list[str], *, required: bool = False) -> Json:
    bodies = [
        {"$ref": f"#/components/schemas/{body}"}
        for body, wanted in (("RelaySubmission", set(QUERY_OF)), ("RelayInquiry", QUERIES))
        if wanted & set(actions)
    ]
    return {
        "tags": ["relay"],
        "operationId": name,
        "summary": summary,
        "description": "For programs that use Volcengine's own client; see the how-to on the relay.",
        "parameters": [
            _parameter("Action", {"enum": actions}, required=required),
            _parameter("Version", {"const": VERSION}, required=required),
            *([IDEMPOTENCY_KEY] if set(QUERY_OF) & set(actions) else []),
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"anyOf": bodies} if len(bodies) > 1 else bodies[0]}},
        },
        "responses": {
            status: {"description": text, "content": {"application/json": {"schema": _EITHER}}}
            for status, text in _STATUSES.items()
        },
    }


def _parameter(name: str, schema: Json, *, required: bool) -> Json:
    return {"name": name, "in": "query", "required": required, "schema": {"type": "string", **schema}}
