"""Use case: take a new task. Stored durably first; only then a worker is woken."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, Final

import msgspec
import structlog
from msgspec import Meta, Struct

from core.errors import FieldProblem, InvalidRequest, ProviderUnavailable, QueueUnavailable
from core.ports import Clock, TaskRepository, WakeQueue
from core.registry import Registry, Route
from core.tasks import Task, TaskInput, new_task_id
from core.validation import MOST_PROBLEMS, checked, field_names, shown, unknown_fields
from polyrelay import Params, TaskType

LONGEST_DEADLINE_S: Final = 7 * 24 * 3600
LONGEST_METADATA_BYTES: Final = 16 * 1024
LONGEST_PROMPT_SHOWN: Final = 500
DEEPEST_INPUT: Final = 32

log = structlog.get_logger("polyrelay.accept")

Scalar = str | int | float | bool | None


class CommonFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    What every task is created with, whatever its model.

    Attributes:
        user_id: The caller's word for whose task it is.
        provider: Whom to ask.
        model: Which of the provider's models.
        deadline_s: The task ends within so many seconds; by default the model's own limit.
        metadata: The caller's own, handed back with the task.
    """

    user_id: Annotated[str, Meta(min_length=1, max_length=128, description="Whose task it is, in your own words.")]
    provider: Annotated[str, Meta(min_length=1, max_length=64, description="Whom to ask; see /api/v1/ai/providers.")]
    model: Annotated[str, Meta(min_length=1, max_length=128, description="Which model; see /api/v1/ai/models.")]
    deadline_s: (
        Annotated[
            float,
            Meta(
                ge=1,
                le=LONGEST_DEADLINE_S,
                description="The task ends within so many seconds, done or failed. By default the model's `timeout_s`.",
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


class Accept:
    """
    Takes new tasks.

    Args:
        tasks: Where they are stored.
        queue: Tells a worker.
        registry: Which models there are.
        clock: Time.
    """

    def __init__(self, tasks: TaskRepository, queue: WakeQueue, registry: Registry, clock: Clock) -> None:
        self._tasks = tasks
        self._queue = queue
        self._registry = registry
        self._clock = clock

    async def __call__(self, task_type: TaskType, body: Mapping[str, Any]) -> Task:
        """
        Check a caller's flat body, store the task and wake a worker.

        A wake that cannot be sent is logged and the task is accepted all the same: the reconciler finds it.

        Raises:
            InvalidRequest: Names every wrong field; also as UnknownProvider and UnknownModel.
            ProviderUnavailable: The model cannot take tasks here.
            StoreUnavailable: Nothing was stored and nobody was woken.
        """
        common, route, params = self._checked(task_type, body)
        task = self._new_task(common, route, params)
        await self._tasks.add(task, _input_of(params))
        try:
            await self._queue.wake(task.id, at=task.created)
        except QueueUnavailable as error:
            log.warning("wake_not_sent", task_id=task.id, reason=str(error))
        return task

    def _checked(self, task_type: TaskType, body: Mapping[str, Any]) -> tuple[CommonFields, Route, Params]:
        common, problems = _common({name: value for name, value in body.items() if name in COMMON_FIELDS})
        route = self._route(task_type, body, problems)
        params, more = _params(route, {name: value for name, value in body.items() if name not in COMMON_FIELDS})
        if common is None or params is None or problems or more:
            raise InvalidRequest([*problems, *more][:MOST_PROBLEMS])
        return common, route, params

    def _route(self, task_type: TaskType, body: Mapping[str, Any], problems: list[FieldProblem]) -> Route:
        """Where the task goes. What is wrong with the caller's other fields is told with what is wrong with this."""
        if {"provider", "model"} & {problem.field for problem in problems}:
            raise InvalidRequest(problems)
        try:
            return self._registry.route_for(body["provider"], body["model"], task_type)
        except InvalidRequest as error:
            raise type(error)([*error.details, *problems]) from error
        except ProviderUnavailable as error:
            if problems:
                raise InvalidRequest(problems) from error
            raise

    def _new_task(self, common: CommonFields, route: Route, params: Params) -> Task:
        now = self._clock()
        prompt = getattr(params, "prompt", None)
        return Task(
            id=new_task_id(now),
            type=route.model.type,
            provider=common.provider,
            model=common.model,
            user_id=common.user_id,
            prompt=prompt[:LONGEST_PROMPT_SHOWN] if isinstance(prompt, str) else None,
            metadata=common.metadata,
            created=now,
            updated=now,
            deadline=now + timedelta(milliseconds=round((common.deadline_s or route.model.timeout_s) * 1000)),
            wake_at=now,
        )


def _common(raw: Mapping[str, Any]) -> tuple[CommonFields | None, list[FieldProblem]]:
    try:
        common = checked(raw, CommonFields)
    except InvalidRequest as error:
        return None, list(error.details)
    return common, list(_metadata_problems(common.metadata))


def _params(route: Route, raw: Mapping[str, Any]) -> tuple[Params | None, list[FieldProblem]]:
    """The model's own params, and what is wrong with them; a name that nobody knows is compared with all names."""
    names = field_names(route.model.params)
    unknown = list(unknown_fields(raw, [*COMMON_FIELDS, *names], raw))
    try:
        params = checked({name: value for name, value in raw.items() if name in names}, route.model.params)
    except InvalidRequest as error:
        return None, [*unknown, *error.details]
    return params, [*unknown, *_unstorable(_input_of(params), "")]


def _input_of(params: Params) -> TaskInput:
    values: TaskInput = msgspec.to_builtins(params)
    return {name: value for name, value in values.items() if value is not None}


def _metadata_problems(metadata: Mapping[str, Any]) -> Iterator[FieldProblem]:
    size = len(msgspec.json.encode(metadata))
    if size > LONGEST_METADATA_BYTES:
        yield FieldProblem(
            field="metadata",
            message=f"{size} bytes as JSON came. Allowed: at most {LONGEST_METADATA_BYTES} bytes.",
            value=shown(metadata),
        )
    yield from _unstorable(metadata, "metadata.")


def _unstorable(values: Any, path: str, depth: int = 0) -> Iterator[FieldProblem]:
    """What no document of MongoDB can hold: numbers beyond 64 bits, names with NUL, deep nesting."""
    items = values.items() if isinstance(values, dict) else enumerate(values)
    for name, value in items:
        field = f"{path}{name}" if isinstance(name, str) else f"{path.removesuffix('.')}[{name}]"
        if isinstance(name, str) and "\0" in name:
            yield FieldProblem(
                field=shown(field), message="Allowed: a name without the character NUL.", value=shown(value)
            )
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            yield FieldProblem(field=field, message="Allowed: a whole number of 64 bits.", value=shown(value))
        elif isinstance(value, dict | list | tuple):
            if depth >= DEEPEST_INPUT:
                yield FieldProblem(field=field[:200], message=f"Allowed: at most {DEEPEST_INPUT} levels of nesting.")
            else:
                yield from _unstorable(value, f"{field}.", depth + 1)
