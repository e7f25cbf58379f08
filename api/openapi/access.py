"""Access in the API description: authentication schemes, and the operations on API keys and users."""

from collections.abc import Mapping
from typing import Any, Final

from api.openapi.schemas import Json, Schemas, json_answer, problems
from api.routes.keys import KeyList, KeyListQuery, MadeKey
from api.routes.users import UserList, UserQuery, UserView
from api.views.tasks import Envelope
from services.access.api_keys import KeyOrder, RotationOrder
from services.access.key_view import KeyView
from services.access.users import UserChange, UserOrder

SECURITY_SCHEMES: Final[Json] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The secret of an API key."},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…` as Volcengine's clients sign, or"
        " `AWS4-HMAC-SHA256 …` as AWS's do, with the access key and the secret of an API key.",
    },
    "link": {
        "type": "apiKey",
        "in": "query",
        "name": "signature",
        "description": "Links to files have it, with the time at which they expire.",
    },
}
SECURITY: Final[list[Json]] = [{"bearer": []}, {"signature": []}]
LINK: Final[tuple[Json, ...]] = (
    {"name": "expires", "in": "query", "required": False, "schema": {"type": "string"}},
    {"name": "signature", "in": "query", "required": False, "schema": {"type": "string"}},
)

_KEY: Final = {
    "name": "key_id",
    "in": "path",
    "required": True,
    "description": "The key's id, or its access key.",
    "schema": {"type": "string"},
}
_USER: Final = {"name": "user_id", "in": "path", "required": True, "schema": {"type": "string"}}
_FOR_FEW: Final = frozenset({"admin", "keys", "users"})
"""Tags of operations that not every role may call."""
_OF_BODIES: Final = (400, 408, 413, 415)


def guarded(paths: Mapping[str, Mapping[str, Json]], schemas: Schemas) -> None:
    """Add to each operation that requires a key the errors of authentication, rate limit and bodies."""
    for methods in paths.values():
        for operation in methods.values():
            if operation.get("security") == []:
                continue
            few, body = _FOR_FEW.intersection(operation["tags"]), "requestBody" in operation
            statuses = [401, 429, *([403] if few else []), *(_OF_BODIES if body else [])]
            for status, answer in problems(schemas, *statuses).items():
                operation["responses"].setdefault(status, answer)


def access_paths(schemas: Schemas) -> Json:
    """The operations on keys and users."""
    return {
        "/api/v1/admin/keys": {
            "get": {
                **_about("keys", "list_keys", "List API keys, newest first"),
                "parameters": schemas.parameters(KeyListQuery),
                "responses": _answers(schemas, 200, KeyList, "One page.", 422),
            },
            "post": {
                **_about("keys", "create_key", "Create an API key"),
                "requestBody": _body(schemas, KeyOrder),
                "responses": _answers(schemas, 201, MadeKey, "The key, with its secret.", 400, 409, 413, 415, 422),
            },
        },
        "/api/v1/admin/keys/{key_id}": {
            "get": {
                **_about("keys", "get_key", "Read an API key, without its secret"),
                "parameters": [_KEY],
                "responses": _answers(schemas, 200, KeyView, "The key.", 404),
            }
        },
        "/api/v1/admin/keys/{key_id}/revoke": {
            "post": {
                **_about("keys", "revoke_key", "Revoke an API key for good"),
                "parameters": [_KEY],
                "responses": _answers(schemas, 200, KeyView, "The key, revoked.", 404, 409),
            }
        },
        "/api/v1/admin/keys/{key_id}/rotate": {
            "post": {
                **_about("keys", "rotate_key", "Replace an API key by a new one"),
                "parameters": [_KEY],
                "requestBody": _body(schemas, RotationOrder, required=False),
                "responses": _answers(
                    schemas, 201, MadeKey, "The new key, with its secret.", 400, 404, 409, 413, 415, 422
                ),
            }
        },
        "/api/v1/users": {
            "get": {
                **_about("users", "list_users", "List users, newest first, or find one by its address"),
                "parameters": schemas.parameters(UserQuery),
                "responses": {
                    "200": json_answer(
                        {"oneOf": [schemas.of(Envelope[UserList]), schemas.of(Envelope[UserView])]},
                        "One page; with `email`, the user.",
                    ),
                    **problems(schemas, 404, 422, 500, 503),
                },
            },
            "post": {
                **_about("users", "create_user", "Create a user"),
                "requestBody": _body(schemas, UserOrder),
                "responses": _answers(schemas, 201, UserView, "The user.", 400, 409, 413, 415, 422),
            },
        },
        "/api/v1/users/{user_id}": {
            "get": {
                **_about("users", "get_user", "Read a user"),
                "parameters": [_USER],
                "responses": _answers(schemas, 200, UserView, "The user.", 404),
            },
            "put": {
                **_about("users", "change_user", "Change a user; what is not given stays as it is"),
                "parameters": [_USER],
                "requestBody": _body(schemas, UserChange),
                "responses": _answers(schemas, 200, UserView, "The user.", 400, 404, 409, 413, 415, 422),
            },
            "delete": {
                **_about("users", "delete_user", "Delete a user; tasks that name it stay"),
                "parameters": [_USER],
                "responses": _answers(schemas, 200, UserView, "The user, as it was before.", 404),
            },
        },
    }


def _about(tag: str, operation: str, summary: str) -> Json:
    return {"tags": [tag], "operationId": operation, "summary": summary}


def _body(schemas: Schemas, kind: Any, *, required: bool = True) -> Json:
    return {"required": required, "content": {"application/json": {"schema": schemas.of(kind)}}}


def _answers(schemas: Schemas, status: int, kind: Any, words: str, *wrong: int) -> Json:
    good = {str(status): json_answer(schemas.of(Envelope[kind]), words)}
    return {**good, **problems(schemas, *sorted({*wrong, 500, 503}))}
