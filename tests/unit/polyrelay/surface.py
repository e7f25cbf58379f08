"""The public names of the plugin API as plain data, and the differences that break plugins."""

import enum
import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, TypeAlias

import msgspec
from msgspec import structs

Surface: TypeAlias = dict[str, Any]


def surface_of(module: ModuleType) -> Surface:
    """Each name of the module's `__all__`, with its fields, members, bases and signatures."""
    names: list[str] = module.__all__
    return {name: _described(getattr(module, name)) for name in names}


def lost(old: Surface, new: Surface) -> list[str]:
    """The differences that break code that was written for the old surface."""
    missing = [f"{name} is gone" for name in old if name not in new]
    return [*missing, *(f"{name}{what}" for name in old if name in new for what in _lost(old[name], new[name]))]


def _described(value: Any) -> Surface:
    if typing.get_origin(value) in (typing.Literal, typing.Union, types.UnionType):
        return {"values": [getattr(item, "__name__", str(item)) for item in typing.get_args(value)]}
    if inspect.isclass(value) and issubclass(value, enum.Enum):
        return {"values": [f"{member.name}={member.value}" for member in value]}
    if inspect.isclass(value):
        return _class(value)
    if inspect.isfunction(value):
        return {"takes": _parameters(value)}
    return {}


def _class(kind: type[Any]) -> Surface:
    own = {name: method for name, method in inspect.getmembers(kind) if _is_public(kind, name, method)}
    described: Surface = {
        "bases": [base.__name__ for base in kind.__mro__[1:] if base.__module__.startswith("polyrelay")],
        "methods": {name: _parameters(method) for name, method in own.items() if inspect.isfunction(method)},
        "properties": sorted(name for name, method in own.items() if isinstance(method, property)),
    }
    if getattr(kind, "_is_protocol", False):
        described["protocol"] = True
    elif issubclass(kind, msgspec.Struct):
        described["fields"] = {field.name: _field(field) for field in structs.fields(kind)}
    else:
        described["takes"] = _parameters(kind.__init__)[1:]
        described["attributes"] = sorted(name for name in inspect.get_annotations(kind) if not name.startswith("_"))
    return described


def _is_public(kind: type[Any], name: str, value: object) -> bool:
    defined = any(name in vars(base) for base in kind.__mro__ if base.__module__.startswith("polyrelay"))
    return defined and not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property))


def _field(field: structs.FieldInfo) -> Surface:
    kinds = sorted(inspect.formatannotation(field.type).split(" | "))
    return {"required": field.required, "type": kinds, "default": "" if field.required else repr(field.default)}


def _parameters(function: Any) -> list[Surface]:
    try:
        found = inspect.signature(function).parameters.values()
    except ValueError:
        return []
    return [described for one in found for described in _parameter(one)]


def _parameter(one: inspect.Parameter) -> list[Surface]:
    """One parameter; `**keywords: Unpack[SomeTypedDict]` is a keyword-only parameter for each key (PEP 692)."""
    if one.kind is one.VAR_KEYWORD and typing.get_origin(one.annotation) is typing.Unpack:
        (keywords,) = typing.get_args(one.annotation)
        required: frozenset[str] = keywords.__required_keys__
        names: list[str] = list(keywords.__annotations__)
        return [{"name": name, "kind": "KEYWORD_ONLY", "required": name in required} for name in names]
    return [{"name": one.name, "kind": one.kind.name, "required": one.default is one.empty}]


def _lost(old: Surface, new: Surface) -> Iterator[str]:
    yield from (f" lacks the value {value}" for value in old.get("values", ()) if value not in new.get("values", ()))
    yield from (f" is no {base} any more" for base in old.get("bases", ()) if base not in new.get("bases", ()))
    for kind in ("properties", "attributes"):
        yield from (f".{name} is gone" for name in old.get(kind, ()) if name not in new.get(kind, ()))
    yield from _lost_fields(old.get("fields", {}), new.get("fields", {}))
    yield from (f"(…){what}" for what in _lost_parameters(old.get("takes", []), new.get("takes", [])))
    methods: Mapping[str, Any] = new.get("methods", {})
    for name, parameters in old.get("methods", {}).items():
        if name not in methods:
            yield f".{name} is gone"
        else:
            yield from (f".{name}(…){what}" for what in _lost_parameters(parameters, methods[name]))
    if old.get("protocol"):
        added = [*methods, *new["properties"]]
        known = [*old["methods"], *old["properties"]]
        yield from (f".{name} is asked of every plugin now" for name in added if name not in known)


def _lost_fields(old: Surface, new: Surface) -> Iterator[str]:
    for name, field in old.items():
        if name not in new:
            yield f".{name} is gone"
        elif new[name]["required"] and not field["required"]:
            yield f".{name} is required now"
        elif new[name]["default"] != field["default"]:
            yield f".{name} has the default {new[name]['default']} instead of {field['default']}"
        elif not set(field["type"]) <= set(new[name]["type"]):
            yield f".{name} is {new[name]['type']} instead of {field['type']}"
    yield from (f".{name} is new and required" for name, field in new.items() if name not in old and field["required"])


def _lost_parameters(old: list[Surface], new: list[Surface]) -> Iterator[str]:
    known, now = {one["name"]: one for one in old}, {one["name"]: one for one in new}
    for name, one in known.items():
        if name not in now:
            yield f" does not take {name} any more"
        elif now[name]["kind"] != one["kind"]:
            yield f" takes {name} as {now[name]['kind']} instead of {one['kind']}"
        elif now[name]["required"] and not one["required"]:
            yield f" asks for {name} now"
    yield from (f" asks for {name}, which is new" for name, one in now.items() if name not in known and one["required"])
    places = [one["name"] for one in old if one["kind"].startswith("POSITIONAL")]
    if places != [one["name"] for one in new if one["kind"].startswith("POSITIONAL")][: len(places)]:
        yield " takes its positional arguments in another order"
