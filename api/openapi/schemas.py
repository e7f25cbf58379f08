"""Building blocks of the API description: schemas, responses, error responses."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from api.problems import ProblemAnswer
from api.requests import IDEMPOTENCY_KEY as IDEMPOTENCY_KEY_PATTERN
from api.views.tasks import Envelope
from polyrelay import Model, Provider
from services.tasks.create_fields import CommonFields
from services.tasks.idempotency import HEADER

Json: TypeAlias = dict[str, Any]

IDEMPOTENCY_KEY: Final = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "A key of your own for this task, 1 to 255 visible ASCII characters. For 24 hours the same key with"
    " the same body is the same task and the same response; with another body it is refused.",
    "schema": {"type": "string", "pattern": IDEMPOTENCY_KEY_PATTERN},
}
REFERENCE: Final = "#/components/schemas/{name}"
PROBLEMS: Final = {
    400: "The body is not valid JSON (`malformed_json`).",
    401: "The caller is not authenticated: no key, a wrong, expired or revoked key, or a signature that is not valid"
    " (`unauthenticated`, `key_expired`, `key_revoked`, `invalid_signature`, `clock_skew`, `replayed_request`).",
    403: "The key's role does not allow that (`forbidden`).",
    404: "There is no such task, file, key or user (`task_not_found`, `file_not_found`, `key_not_found`,"
    " `user_not_found`).",
    408: "The body did not arrive in time (`request_timeout`).",
    409: "Its state does not allow that (`not_possible`), or concurrent changes kept preventing it; then try again"
    " (`conflict`). Or another user has that address (`email_taken`).",
    413: "The body is larger than MAX_BODY_BYTES (`body_too_large`).",
    415: "The body is not declared as `application/json` (`unsupported_media_type`).",
    416: "The range lies outside of the file (`range_not_satisfiable`).",
    422: "Fields are wrong; `error.details` names each (`invalid_request`, `unknown_provider`, `unknown_model`,"
    " `idempotency_key_reused`).",
    429: "A limit is reached; try again after the number of seconds in Retry-After: the key's requests in a minute"
    " (`rate_limited`), its tasks (`too_many_tasks`) or the provider's (`queue_full`).",
    500: "A defect of the server; its log has details under the `request_id` (`internal_error`). Or the audit row"
    " could not be written, and nothing was done (`AUDIT_FAILED`).",
    503: "The provider has no credentials here or was switched off (`provider_unavailable`), or the store cannot be"
    " reached (`store_unavailable`, with Retry-After).",
}


class Schemas:
    """Collects the schemas that operations refer to."""

    def __init__(self) -> None:
        self.components: dict[str, Any] = {}

    def of(self, kind: Any) -> Json:
        """A reference to the schema of a type; schemas of `Envelope` are published under their first name, `Answer`."""
        (reference,), components = msgspec.json.schema_components([kind], ref_template=REFERENCE)
        self.components.update((_published(name), schema) for name, schema in components.items())
        return {name: _published(value) for name, value in reference.items()}

    def fields(self, kind: type[Struct], *, prefix: str = "") -> tuple[Json, list[str], str]:
        """A Struct's properties, the required ones and its description; names of inner schemas get the prefix."""
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
        return {"$ref": REFERENCE.format(name=name)}

    def parameters(self, kind: type[Struct]) -> list[Json]:
        """The fields of a Struct as query parameters."""
        properties, _, _ = self.fields(kind)
        return [
            {"name": name, "in": "query", "required": False, "schema": schema, **described(schema)}
            for name, schema in properties.items()
        ]


def _published(name: str) -> str:
    """The name of a component, or a reference to it, as clients know it."""
    return name.replace(f"{Envelope.__name__}_", "Answer_")


def problems(schemas: Schemas, *statuses: int) -> Json:
    """The error responses with those statuses."""
    schema = schemas.of(ProblemAnswer)
    return {str(status): json_answer(schema, PROBLEMS[status]) for status in statuses}


def json_answer(schema: Mapping[str, Any], description: str) -> Json:
    """A JSON response."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def described(schema: Mapping[str, Any]) -> Json:
    """A query parameter's description; an optional field has it inside its alternatives."""
    options: Iterable[Mapping[str, Any]] = schema.get("anyOf", [schema])
    texts = [option["description"] for option in options if "description" in option]
    return {"description": texts[0]} if texts else {}
