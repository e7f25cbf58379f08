"""Constraint texts: describe for callers what a field's type and limits allow."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from msgspec import inspect as types

_ANY_TEXT: Final = r"\S"

_PLAIN: Final[Mapping[type[types.Type], str]] = {
    types.AnyType: "any JSON value",
    types.BoolType: "true or false",
    types.DateTimeType: "a date and time such as 2026-01-31T12:00:00Z",
    types.DateType: "a date such as 2026-01-31",
    types.TimeType: "a time such as 12:00:00",
    types.UUIDType: "a UUID",
    types.DecimalType: "a decimal number",
    types.NoneType: "null",
}


def allowed_words(kind: Any) -> str:
    """Describe the values that the type allows, such as "a whole number from 1 to 4"."""
    try:
        return _cached(kind)
    except TypeError:  # an annotation that cannot be hashed
        return _words(types.type_info(kind))


@functools.lru_cache(maxsize=4096)
def _cached(kind: Any) -> str:
    return _words(types.type_info(kind))


def _words(info: types.Type) -> str:
    for kind, describe in _DESCRIBED:
        if isinstance(info, kind):
            return describe(info)
    return _PLAIN.get(type(info), "another type")


def _metadata(info: Any) -> str:
    words = _words(info.type)
    description = (info.extra_json_schema or {}).get("description")
    if _has_pattern(info.type) and description:
        return f"{words} ({description.rstrip('.')})"
    return words


def _union(info: Any) -> str:
    options = [option for option in info.types if not isinstance(option, types.NoneType)]
    return " or ".join(dict.fromkeys(_words(option) for option in options))


def _literal(info: Any) -> str:
    values = ", ".join(str(value) for value in info.values)
    return f"one of {values}" if len(info.values) > 1 else values


def _enum(info: Any) -> str:
    return "one of " + ", ".join(str(member.value) for member in info.cls)


def _integer(info: Any) -> str:
    return f"a whole number{_range(info)}"


def _float(info: Any) -> str:
    return f"a number{_range(info)}"


def _range(info: Any) -> str:
    if info.ge is not None and info.le is not None:
        limits = f" from {_plain(info.ge)} to {_plain(info.le)}"
    else:
        limits = "".join(f", {limit}" for limit in _limits(info))
    return limits + (f", a multiple of {_plain(info.multiple_of)}" if info.multiple_of is not None else "")


def _limits(info: Any) -> Iterator[str]:
    if info.gt is not None:
        yield f"more than {_plain(info.gt)}"
    if info.ge is not None:
        yield f"{_plain(info.ge)} or more"
    if info.lt is not None:
        yield f"less than {_plain(info.lt)}"
    if info.le is not None:
        yield f"{_plain(info.le)} or less"


def _plain(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else str(number)


def _text(info: Any) -> str:
    words = "a text" + _length(info, "character")
    return words if info.pattern in (None, _ANY_TEXT) else f"{words} that matches {info.pattern}"


def _length(info: Any, unit: str) -> str:
    least, most = info.min_length, info.max_length
    if least is not None and most is not None:
        return f" of {least} {unit}{_s(least)}" if least == most else f" of {least} to {most} {unit}s"
    if most is not None:
        return f" of at most {most} {unit}{_s(most)}"
    return f" of at least {least} {unit}{_s(least)}" if least else ""


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _list(info: Any) -> str:
    return f"a list{_length(info, 'item')}, each {_words(info.item_type)}"


def _object(info: Any) -> str:
    names = ", ".join(field.encode_name for field in info.fields)
    return f"an object with {names}" if names else "an empty object"


def _mapping(info: Any) -> str:
    return f"an object{_length(info, 'field')}"


def _bytes(_: Any) -> str:
    return "a text in base64"


def _has_pattern(info: types.Type) -> bool:
    return isinstance(info, types.StrType) and info.pattern not in (None, _ANY_TEXT)


_DESCRIBED: Final[tuple[tuple[type[types.Type], Callable[[Any], str]], ...]] = (
    (types.Metadata, _metadata),
    (types.UnionType, _union),
    (types.LiteralType, _literal),
    (types.EnumType, _enum),
    (types.IntType, _integer),
    (types.FloatType, _float),
    (types.StrType, _text),
    (types.BytesType, _bytes),
    (types.CollectionType, _list),
    (types.VarTupleType, _list),
    (types.StructType, _object),
    (types.DictType, _mapping),
)
