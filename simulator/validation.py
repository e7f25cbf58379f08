"""Reads params into a Struct and says which field is wrong, in a form that every vendor can word its way."""

import re
from typing import Any, Literal, TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)


class InvalidField(Exception):
    """
    A param is missing, of the wrong type or out of range.

    Attributes:
        field: Its path, such as `stream_options.include_usage`; empty for the document itself.
    """

    def __init__(self, problem: Literal["missing", "type", "value"], field: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem
        self.field = field
        self.detail = detail


def read(document: Any, shape: type[S]) -> S:
    """
    Convert a decoded document; null counts as unset.

    Raises:
        InvalidField: The first thing that is wrong.
    """
    if not isinstance(document, dict):
        raise InvalidField("type", "", "a JSON object is expected")
    try:
        return msgspec.convert(without_nulls(document), shape)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error


def without_nulls(document: dict[str, Any]) -> dict[str, Any]:
    """The same object without keys whose value is null, at every depth of objects."""
    return {
        key: without_nulls(value) if isinstance(value, dict) else value
        for key, value in document.items()
        if value is not None
    }


def _invalid(message: str) -> InvalidField:
    where = re.search(r"at `\$\.?([^`]*)`", message)
    path = where.group(1) if where else ""
    missing = re.search(r"missing required field `([^`]*)`", message)
    if missing:
        return InvalidField("missing", ".".join(filter(None, [path, missing.group(1)])), message)
    kind: Literal["type", "value"] = "type" if re.match(r"Expected `[^`]*`, got `", message) else "value"
    return InvalidField(kind, path, message)
