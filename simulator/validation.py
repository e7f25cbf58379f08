"""Validation of params: decodes a document into a Struct, or names the invalid field for the vendor's error."""

import re
from typing import Any, Literal, TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)


class InvalidField(Exception):
    """
    A param is missing, has the wrong type or is out of range.

    Attributes:
        field: Path of the field, such as `stream_options.include_usage`; empty for the document itself.
    """

    def __init__(self, problem: Literal["missing", "type", "value"], field: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem
        self.field = field
        self.detail = detail


def read(document: Any, shape: type[S]) -> S:
    """
    Convert a decoded document to a Struct. A null field counts as unset.

    Raises:
        InvalidField: Names the first invalid field.
    """
    if not isinstance(document, dict):
        raise InvalidField("type", "", "a JSON object is expected")
    try:
        return msgspec.convert(without_nulls(document), shape)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error


def without_nulls(document: dict[str, Any]) -> dict[str, Any]:
    """The same object without the keys whose value is null, at every depth."""
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
