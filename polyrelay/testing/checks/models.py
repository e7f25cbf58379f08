"""Checks of a provider without a call: its services, models and params."""

import inspect
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import structs

from polyrelay.contract import RESERVED_FIELDS, Model, Params, Service, TaskType
from polyrelay.provider import Disabled, Provider

LONGEST_NAME: Final = 100
LONGEST_TIMEOUT_S: Final = 7 * 24 * 3600.0


def services_are_asynchronous(provider: Provider) -> Iterator[str]:
    """Each service has submit, poll and aclose as coroutine functions; cancel and stream have their signatures."""
    for service in provider.services:
        kind = type(service).__name__
        for name in ("submit", "poll", "aclose", "cancel"):
            method = getattr(service, name, None)
            if method is None and name != "cancel":
                yield f"{kind} has no {name}"
            elif method is not None and not inspect.iscoroutinefunction(method):
                yield f"{kind}.{name} is not an async def"
        stream = getattr(service, "stream", None)
        if stream is not None and inspect.iscoroutinefunction(stream):
            yield f"{kind}.stream must be an asynchronous generator: yield in it, or write def"
        yield from _wrong_parameters(service, kind)


def models_are_sane(provider: Provider) -> Iterator[str]:
    """Each model has a name without spaces, a type, and a timeout between 0 and 7 days; there is at least one."""
    if not provider.models:
        yield f"{provider.name} serves no model"
    for model in provider.models:
        if not model.name or len(model.name) > LONGEST_NAME or not model.name.isprintable() or " " in model.name:
            yield f"the name {model.name!r:.200}: 1 to {LONGEST_NAME} printable characters, no spaces"
        if not isinstance(model.type, TaskType):
            yield f"{model.name}: type {model.type!r} is not a TaskType"
        if not (math.isfinite(model.timeout_s) and 0 < model.timeout_s <= LONGEST_TIMEOUT_S):
            yield f"{model.name}: timeout_s {model.timeout_s}; above 0 and at most {LONGEST_TIMEOUT_S:.0f}"
        if model.max_open is not None and model.max_open < 1:
            yield f"{model.name}: max_open {model.max_open}; 1 or more, or None"
    for service in provider.services:
        if isinstance(service, Disabled) and not service.reason.strip():
            yield f"{provider.name} has a Disabled without a reason"


def params_are_strict(provider: Provider) -> Iterator[str]:
    """Params are frozen subclasses of polyrelay.Params, forbid unknown fields, and give each field a type."""
    for model, params in _params(provider):
        config = params.__struct_config__
        if not issubclass(params, Params):
            yield f"{model.name}: {params.__name__} is not a subclass of polyrelay.Params"
        if not (config.forbid_unknown_fields and config.frozen):
            yield f"{model.name}: {params.__name__} must have frozen and forbid_unknown_fields"
        for field in structs.fields(params):
            if field.type in (Any, object):
                yield f"{model.name}: the type of {field.encode_name} accepts any value"
            if field.encode_name in RESERVED_FIELDS:
                yield f"{model.name}: every task has a field {field.encode_name} already; choose another name"


def schemas_are_valid(provider: Provider) -> Iterator[str]:
    """A JSON Schema of the params can be generated, contains all that it refers to, and names the params' fields."""
    for model, params in _params(provider):
        try:
            (schema,), parts = msgspec.json.schema_components([params], ref_template="#/$defs/{name}")
        except TypeError as error:
            yield f"{model.name}: no JSON Schema can be generated for {params.__name__}: {error}"
            continue
        whole = {**schema, "$defs": parts}
        yield from (f"{model.name}: {wrong}" for wrong in (*_wrong_schema(whole), *_other_fields(parts, params)))


def _params(provider: Provider) -> Iterator[tuple[Model, type[msgspec.Struct]]]:
    """Each params class with the first model that has it. At runtime it may be another class than `Params`."""
    seen: set[object] = set()
    for model in provider.models:
        if model.params not in seen:
            seen.add(model.params)
            yield model, model.params


def _wrong_parameters(service: Service, kind: str) -> Iterator[str]:
    expected = {"submit": 1, "poll": 2, "aclose": 0, "cancel": 2, "stream": 1}
    for name, count in expected.items():
        method = getattr(service, name, None)
        if method is not None:
            try:
                inspect.signature(method).bind(*range(count))
            except TypeError:
                yield f"{kind}.{name} is called with {count} arguments, which it does not accept"


def _wrong_schema(schema: Mapping[str, Any]) -> Iterator[str]:
    try:
        msgspec.json.encode(schema)
    except (TypeError, ValueError) as error:
        yield f"the JSON Schema is not JSON: {error}"
    known = {f"#/$defs/{name}" for name in schema["$defs"]}
    if lost := sorted(_references(schema) - known):
        yield f"the JSON Schema refers to {', '.join(lost)}, which it does not have"


def _references(value: object) -> set[str]:
    if isinstance(value, Mapping):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set[str]()
        return own.union(*map(_references, value.values()))
    return set[str]().union(*map(_references, value)) if isinstance(value, list | tuple) else set()


def _other_fields(parts: Mapping[str, Any], params: type[msgspec.Struct]) -> Iterator[str]:
    described = parts.get(params.__name__, {}).get("properties")
    fields = [field.encode_name for field in structs.fields(params)]
    if described is not None and list(described) != fields:
        yield f"the JSON Schema names {', '.join(described) or 'no fields'}, and the params have {', '.join(fields)}"
