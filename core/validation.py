"""
Validation of callers' input: all wrong fields are reported together, each with its value and what is allowed.

`checked` converts the whole input; only where that fails, it examines each field.
"""

import difflib
import functools
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Struct, ValidationError, structs

from core.constraint_text import allowed_words
from core.errors import FieldProblem, InvalidRequest

S = TypeVar("S", bound=Struct)

LONGEST_VALUE: Final = 200
MOST_PROBLEMS: Final = 50
_LONGEST_RULE: Final = 500
_BASE64: Final = re.compile(r"(?:data:[\w/+.-]+;base64,)?[A-Za-z0-9+/_-]{64,}={0,2}")
_PATH: Final = re.compile(r" - at `\$(.*)`$")


def checked(raw: Mapping[str, Any], kind: type[S], *, strict: bool = True) -> S:
    """
    Convert the caller's fields to that Struct. An explicit null counts as unset.

    Args:
        raw: Decoded JSON, or the texts of a query.
        kind: The Struct that says what is allowed.
        strict: Whether numbers and booleans must not be texts; False for a query.

    Raises:
        InvalidRequest: Lists every wrong field.
    """
    given = without_nulls(raw, kind)
    try:
        return _whole(given, kind, strict)
    except ValidationError as error:
        found = list(islice(_wrong_fields(given, kind, "", strict), MOST_PROBLEMS)) or [_across_fields(error, given)]
        raise InvalidRequest(found) from error


def without_nulls(raw: Mapping[str, Any], kind: type[Struct]) -> dict[str, Any]:
    """The fields without those that are null, also inside of nested Structs and lists of Structs."""
    nested = _nested(kind)
    return {
        name: _inner_without_nulls(value, nested[name]) if name in nested else value
        for name, value in raw.items()
        if value is not None
    }


@functools.lru_cache(maxsize=1024)
def field_names(kind: type[Struct]) -> tuple[str, ...]:
    """The names of a Struct's fields in JSON."""
    return tuple(field.encode_name for field in structs.fields(kind))


def unknown_fields(names: Iterable[str], allowed: Sequence[str], raw: Mapping[str, Any]) -> Iterator[FieldProblem]:
    """A problem for each name that is not allowed, with a similar allowed name where there is one."""
    for name in names:
        if name not in allowed:
            close = difflib.get_close_matches(name, allowed, n=1, cutoff=0.6)
            hint = f" Did you mean {close[0]}?" if close else ""
            yield FieldProblem(
                field=_cut(name),
                message=f"There is no such field.{hint} Allowed: {', '.join(allowed) or 'none'}.",
                value=shown(raw[name]),
            )


def shown(value: Any) -> Any:
    """The value for an error response: unchanged where it is short, else the beginning of its text."""
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    if isinstance(value, str):
        return _shown_text(value)
    return _cut(_as_json(value))


@functools.lru_cache(maxsize=1024)
def _nested(kind: type[Struct]) -> Mapping[str, Any]:
    """The fields that may hold a Struct, or a list of them, with their types."""
    return {field.encode_name: field.type for field in structs.fields(kind) if _may_hold_struct(field.type)}


def _may_hold_struct(kind: Any) -> bool:
    return any(_is_struct(option) or _has_struct(_item_type(option)) for option in _options(kind))


def _whole(given: Mapping[str, Any], kind: type[S], strict: bool) -> S:
    try:
        return msgspec.convert(given, kind, strict=strict)
    except RecursionError as error:
        raise ValidationError("nested too deeply") from error


def _wrong_fields(given: Mapping[str, Any], kind: type[Struct], path: str, strict: bool) -> Iterator[FieldProblem]:
    fields = structs.fields(kind)
    if kind.__struct_config__.forbid_unknown_fields:
        for problem in unknown_fields(given, field_names(kind), given):
            yield structs.replace(problem, field=path + problem.field)
    for field in fields:
        name = path + field.encode_name
        if field.encode_name in given:
            yield from _problems(given[field.encode_name], field.type, name, strict)
        elif field.required:
            yield FieldProblem(field=name, message=f"Required. Allowed: {allowed_words(field.type)}.")


def _problems(value: Any, kind: Any, path: str, strict: bool) -> Iterator[FieldProblem]:
    """The problems of one value, including those in items of lists and in fields of objects."""
    try:
        msgspec.convert(value, kind, strict=strict)
    except (ValidationError, RecursionError) as error:
        deeper = list(_inner_problems(value, kind, path, strict))
        yield from deeper or [_problem(error, value, kind, path)]


def _inner_problems(value: Any, kind: Any, path: str, strict: bool) -> Iterator[FieldProblem]:
    for option in _options(kind):
        if isinstance(value, list) and (item := _item_type(option)) is not None:
            for index, inner in enumerate(value):
                yield from _problems(inner, item, f"{path}[{index}]", strict)
            return
        if isinstance(value, dict) and _is_struct(option) and option.__struct_config__.tag is None:
            yield from _wrong_fields(value, option, f"{path}.", strict)
            return


def _problem(error: Exception, value: Any, kind: Any, path: str) -> FieldProblem:
    if isinstance(error.__cause__, ValueError):
        return FieldProblem(field=path, message=_sentence(_PATH.sub("", str(error))), value=shown(value))
    text = str(error)
    inner = _PATH.search(text)
    words = allowed_words(kind)
    if inner is not None and inner[1]:
        return FieldProblem(
            field=path + inner[1], message=f"{_PATH.sub('', text)}. Allowed: {words}.", value=shown(value)
        )
    return FieldProblem(field=path, message=f"Allowed: {words}.", value=shown(value))


def _across_fields(error: Exception, given: Mapping[str, Any]) -> FieldProblem:
    """The problem of a rule that concerns several fields; its field is the first one that the text names."""
    text = _PATH.sub("", str(error))
    named = [(match.start(), name) for name in given if (match := re.search(rf"\b{re.escape(name)}\b", text))]
    field = min(named)[1] if named else ""
    return FieldProblem(field=field, message=_sentence(text), value=shown(given.get(field)))


def _inner_without_nulls(value: Any, kind: Any) -> Any:
    for option in _options(kind):
        if isinstance(value, dict) and _is_struct(option):
            return without_nulls(value, option)
        if isinstance(value, list) and (item := _item_type(option)) is not None and _has_struct(item):
            return [_inner_without_nulls(inner, item) for inner in value]
    return value


def _options(kind: Any) -> tuple[Any, ...]:
    """The alternatives of a union, or the type itself, without `Annotated`."""
    kind = _bare(kind)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return tuple(_bare(option) for option in typing.get_args(kind))
    return (kind,)


def _bare(kind: Any) -> Any:
    return _bare(typing.get_args(kind)[0]) if typing.get_origin(kind) is Annotated else kind


def _item_type(kind: Any) -> Any:
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) in (list, Sequence, set, frozenset) and arguments:
        return arguments[0]
    return arguments[0] if typing.get_origin(kind) is tuple and arguments[1:] == (...,) else None


def _has_struct(kind: Any) -> bool:
    return any(_is_struct(option) for option in _options(kind))


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _shown_text(text: str) -> str:
    if len(text) > 80 and (match := _BASE64.match(text, 0, 4096)) and match.end() >= min(len(text), 4096):
        return f"{text[:32]}… ({len(text)} characters of base64)"
    return _cut(text)


def _cut(text: str) -> str:
    note = f"… ({len(text)} characters)"
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - len(note)] + note


def _as_json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (RecursionError, TypeError, ValueError, OverflowError):
        return f"({type(value).__name__})"


def _sentence(text: str) -> str:
    text = text[:_LONGEST_RULE]
    return text if text.endswith((".", "!", "?")) else f"{text}."
