"""
Fields of a create: those of every task, whatever its model, what MongoDB cannot store, and the order that they become.

The params of the model are beside them in the caller's flat body.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from core.errors import FieldProblem, InvalidRequest, ProviderUnavailable
from core.priorities import Priority
from core.registry import Registry, Route, refusal
from core.tasks import Choice, RelayCall, TaskInput
from core.validation import checked, shown
from polyrelay import Params, TaskType

LONGEST_DEADLINE_S: Final = 7 * 24 * 3600
LONGEST_METADATA_BYTES: Final = 16 * 1024
LONGEST_FALLBACKS_BYTES: Final = 64 * 1024
MOST_FALLBACKS: Final = 5
DEEPEST_INPUT: Final = 32

Scalar = str | int | float | bool | None
ProviderName = Annotated[str, Meta(min_length=1, max_length=64, description="The provider; see /api/v1/ai/providers.")]
ModelName = Annotated[str, Meta(min_length=1, max_length=128, description="The model; see /api/v1/ai/models.")]


class Fallback(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A further choice, used where the ones before it cannot take the task; `params` are those that differ."""

    provider: ProviderName
    model: ModelName
    params: Annotated[
        dict[str, Any],
        Meta(
            description="Params that differ from the task's own; null leaves one out. A field that this model does not"
            " know must be left out with null."
        ),
    ] = {}


class CommonFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    The fields of every create, whatever its model.

    Attributes:
        user_id: The caller's own name for the user whose task it is.
        provider: The provider of the first choice.
        model: One of the provider's models.
        fallbacks: Further choices, in order, used while it is certain that no vendor accepted the task.
        priority: How soon it is handled, relative to others.
        deadline_s: The task ends within this time, in seconds; by default the longest `timeout_s` of the models named.
        metadata: The caller's own, returned with the task.
    """

    user_id: Annotated[
        str, Meta(min_length=1, max_length=128, description="The user whose task it is, as you name it.")
    ]
    provider: ProviderName
    model: ModelName
    fallbacks: Annotated[
        tuple[Fallback, ...],
        Meta(
            max_length=MOST_FALLBACKS,
            description="Further choices, in order: used where the ones before are unavailable, or definitely did not"
            " accept the task. Never after an unknown outcome.",
        ),
    ] = ()
    priority: Annotated[
        Priority, Meta(description="How soon the task is handled, relative to others: 6 to 3 to 1; none starves.")
    ] = Priority.DEFAULT
    deadline_s: (
        Annotated[
            float,
            Meta(
                ge=1,
                le=LONGEST_DEADLINE_S,
                description="The task ends within this time, in seconds, completed or failed. By default the model's"
                " `timeout_s`; with fallbacks, the longest of them.",
            ),
        ]
        | None
    ) = None
    metadata: Annotated[
        dict[str, Scalar],
        Meta(
            description="Your own flat object of texts, numbers and booleans, at most 16 KiB; returned as it was sent."
        ),
    ] = {}


class TaskOrder(Struct, frozen=True, kw_only=True):
    """
    A validated create.

    Attributes:
        type: What the task makes.
        common: The fields of every task.
        task_input: The params of the first choice.
        fallbacks: The other choices.
        longest_s: The longest `timeout_s` of the models named, in seconds.
        prompt: What lists show.
        relay: The call of a vendor's own API that this came by, if it did.
    """

    type: TaskType
    common: CommonFields
    task_input: TaskInput
    fallbacks: tuple[Choice, ...] = ()
    longest_s: float
    prompt: str | None = None
    relay: RelayCall | None = None


COMMON_FIELDS: Final = CommonFields.__struct_fields__
_COMMON: Final = frozenset(COMMON_FIELDS)


def own_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are not those of every task: the model's params, or unknown names."""
    return {name: value for name, value in body.items() if name not in _COMMON}


def read_common(body: Mapping[str, Any]) -> tuple[CommonFields | None, list[FieldProblem]]:
    """The fields of every task, or None where they are wrong, and what is wrong with them."""
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


def input_of(params: Params) -> TaskInput:
    """Validated params as JSON values, without unset ones."""
    values: TaskInput = msgspec.to_builtins(params)
    return {name: value for name, value in values.items() if value is not None}


def route_of(registry: Registry, provider: str, model: str, task_type: TaskType) -> Route:
    """
    The route of a new task of that type, whether it can be taken now or not.

    Raises:
        UnknownProvider, UnknownModel: As `Registry.route_for`.
    """
    try:
        return registry.route_for(provider, model, task_type)
    except ProviderUnavailable:
        return registry.route(provider, model)


def refuse_closed(routes: Sequence[Route]) -> None:
    """
    Refuse a task if all of its routes are closed.

    Raises:
        ProviderUnavailable: None of them can take tasks; says why for each.
    """
    if all(route.closed is not None for route in routes):
        raise ProviderUnavailable("; ".join(map(refusal, routes)))


def unstorable(values: Any, path: str, depth: int = 0) -> Iterator[FieldProblem]:
    """What MongoDB cannot store: integers beyond 64 bits, names with NUL, deep nesting."""
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
        message = f"{size} bytes as JSON were sent. Allowed: at most {most_bytes} bytes."
        yield FieldProblem(field=field, message=message, value=shown(value))
