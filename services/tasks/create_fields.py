"""The fields that every task is created with, whatever its model, and what no record can hold."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from core.errors import FieldProblem, InvalidRequest
from core.priorities import Priority
from core.validation import checked, shown

LONGEST_DEADLINE_S: Final = 7 * 24 * 3600
LONGEST_METADATA_BYTES: Final = 16 * 1024
LONGEST_FALLBACKS_BYTES: Final = 64 * 1024
MOST_FALLBACKS: Final = 5
DEEPEST_INPUT: Final = 32

Scalar = str | int | float | bool | None
ProviderName = Annotated[str, Meta(min_length=1, max_length=64, description="Whom to ask; see /api/v1/ai/providers.")]
ModelName = Annotated[str, Meta(min_length=1, max_length=128, description="Which model; see /api/v1/ai/models.")]


class Fallback(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to ask where the choices before it cannot take the task. `params` are those that differ for its model."""

    provider: ProviderName
    model: ModelName
    params: Annotated[
        dict[str, Any],
        Meta(
            description="Params that differ from the task's own; null leaves one out. A field that this model does not"
            " know must be left out like that."
        ),
    ] = {}


class CommonFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    What every task is created with, whatever its model.

    Attributes:
        user_id: The caller's word for whose task it is.
        provider: Whom to ask.
        model: Which of the provider's models.
        fallbacks: Whom to ask instead, in order, while it is certain that nobody accepted the task.
        priority: How soon it is looked at, relative to others.
        deadline_s: The task ends within so many seconds; by default the longest limit of the models named.
        metadata: The caller's own, handed back with the task.
    """

    user_id: Annotated[str, Meta(min_length=1, max_length=128, description="Whose task it is, in your own words.")]
    provider: ProviderName
    model: ModelName
    fallbacks: Annotated[
        tuple[Fallback, ...],
        Meta(
            max_length=MOST_FALLBACKS,
            description="Whom to ask instead, in order: where the choices before are unavailable, or definitely did not"
            " accept the task. Never after an unknown outcome.",
        ),
    ] = ()
    priority: Annotated[
        Priority, Meta(description="How soon it is looked at, relative to others: 6 to 3 to 1; none starves.")
    ] = Priority.DEFAULT
    deadline_s: (
        Annotated[
            float,
            Meta(
                ge=1,
                le=LONGEST_DEADLINE_S,
                description="The task ends within so many seconds, done or failed. By default the model's `timeout_s`;"
                " with fallbacks, the longest of them.",
            ),
        ]
        | None
    ) = None
    metadata: Annotated[
        dict[str, Scalar],
        Meta(
            description="Your own flat object of texts, numbers and booleans, at most 16 KiB; handed back as it came."
        ),
    ] = {}


COMMON_FIELDS: Final = CommonFields.__struct_fields__
_COMMON: Final = frozenset(COMMON_FIELDS)


def own_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that only the model knows, or nobody."""
    return {name: value for name, value in body.items() if name not in _COMMON}


def read_common(body: Mapping[str, Any]) -> tuple[CommonFields | None, list[FieldProblem]]:
    """Those of the body's fields that every task has, and what is wrong with them."""
    try:
        common = checked({name: value for name, value in body.items() if name in _COMMON}, CommonFields)
    except InvalidRequest as error:
        return None, list(error.details)
    problems: list[FieldProblem] = []
    if common.metadata:
        problems += _too_long("metadata", common.metadata, LONGEST_METADATA_BYTES)
    if common.fallbacks:
        problems += _too_long("fallbacks", common.fallbacks, LONGEST_FALLBACKS_BYTES)
    return common, [*problems, *unstorable(common.metadata, "metadata.")]


def unstorable(values: Any, path: str, depth: int = 0) -> Iterator[FieldProblem]:
    """What no document of MongoDB can hold: numbers beyond 64 bits, names with NUL, deep nesting."""
    items = values.items() if isinstance(values, dict) else enumerate(values)
    for name, value in items:
        if isinstance(name, str) and "\0" in name:
            message = "Allowed: a name without the character NUL."
            yield FieldProblem(field=shown(_inner(path, name)), message=message, value=shown(value))
        elif isinstance(value, str):
            continue
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            message = "Allowed: a whole number of 64 bits."
            yield FieldProblem(field=_inner(path, name), message=message, value=shown(value))
        elif isinstance(value, dict | list | tuple):
            if depth < DEEPEST_INPUT:
                yield from unstorable(value, f"{_inner(path, name)}.", depth + 1)
            else:
                message = f"Allowed: at most {DEEPEST_INPUT} levels of nesting."
                yield FieldProblem(field=_inner(path, name)[:200], message=message)


def _inner(path: str, name: str | int) -> str:
    return f"{path}{name}" if isinstance(name, str) else f"{path.removesuffix('.')}[{name}]"


def _too_long(field: str, value: Any, most_bytes: int) -> Iterator[FieldProblem]:
    try:
        size = len(msgspec.json.encode(value))
    except RecursionError:
        yield FieldProblem(field=field, message=f"Allowed: at most {DEEPEST_INPUT} levels of nesting.")
        return
    if size > most_bytes:
        message = f"{size} bytes as JSON came. Allowed: at most {most_bytes} bytes."
        yield FieldProblem(field=field, message=message, value=shown(value))
