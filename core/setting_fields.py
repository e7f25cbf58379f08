"""Reads settings structs: the name of each field in the environment, and its value from text."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec import Struct, structs

from core.errors import ConfigurationError

_WITH_SUFFIX: Final = frozenset({"lease_s", "loop_stall_s", "reconcile_s", "request_timeout_s", "shutdown_grace_s"})
"""Durations whose name in the environment ends with `_S`. Complete: see docs/decisions/0035-names-of-durations.md."""


def environment_name(field: str) -> str:
    """
    The name of a field in the environment: in upper case, without the suffix `_s` of a duration.

    A value in the environment says its unit itself, such as 30s; a value in code is a number of seconds.
    """
    return (field if field in _WITH_SUFFIX else field.removesuffix("_s")).upper()


def names_of(kind: type[Struct]) -> dict[str, str]:
    """The struct's fields by their names in the environment; `env`, which is not a setting, is left out."""
    return {environment_name(field): field for field in kind.__struct_fields__ if field != "env"}


def secret_fields(kind: type[Struct]) -> frozenset[str]:
    """The fields whose values must not be shown."""
    return frozenset(field.name for field in structs.fields(kind) if "Secret" in str(field.type))


def read_fields(
    kind: type[Struct], values: Mapping[str, str], parsers: Mapping[str, Callable[[str], Any]]
) -> tuple[dict[str, Any], list[str]]:
    """
    The fields that are set, and one sentence for each value that is not allowed.

    Args:
        kind: The struct.
        values: Texts by name in the environment; other names are ignored.
        parsers: By field: from a text to the value, or a `ValueError` whose text says what is allowed.
    """
    fields: dict[str, Any] = {}
    problems: list[str] = []
    secret = secret_fields(kind)
    for name, field in names_of(kind).items():
        if name in values:
            try:
                fields[field] = parsers[field](values[name].strip())
            except ValueError as error:
                shown = "***" if field in secret else repr(values[name])
                problems.append(f"{name}={shown}: allowed is {error}")
    return fields, problems


def wrong_settings(problems: Iterable[str]) -> ConfigurationError:
    """The error that lists all problems."""
    return ConfigurationError("wrong settings:\n  " + "\n  ".join(problems))
