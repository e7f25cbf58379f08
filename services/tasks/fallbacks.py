"""Validation of a create's fallbacks: further providers and models, each with an input of its own."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from core.errors import FieldProblem, InvalidRequest
from core.registry import Registry, Route
from core.tasks import Choice, TaskInput, input_for
from core.validation import checked, field_names
from polyrelay import TaskType
from services.tasks.create_fields import CommonFields, input_of, route_of, unstorable


class Candidate(Struct, frozen=True, kw_only=True):
    """A validated choice and its route."""

    choice: Choice
    route: Route


def read_fallbacks(
    registry: Registry, task_type: TaskType, common: CommonFields, task_input: TaskInput | None
) -> tuple[list[Candidate], list[FieldProblem]]:
    """
    The caller's valid fallbacks, and what is wrong with the others.

    Args:
        task_input: The input for the first choice; None where it is wrong itself, and the fallbacks' are not validated.
    """
    candidates: list[Candidate] = []
    problems: list[FieldProblem] = []
    seen = {(common.provider, common.model)}
    for index, fallback in enumerate(common.fallbacks):
        path, name = f"fallbacks[{index}]", (fallback.provider, fallback.model)
        choice = Choice(provider=fallback.provider, model=fallback.model, params=fallback.params)
        if name in seen:
            message = "Allowed: each provider and model once, and not the one of the task itself."
            problems.append(FieldProblem(field=path, message=message, value="/".join(name)))
        seen.add(name)
        try:
            route = route_of(registry, *name, task_type)
            candidates.append(_candidate(choice, route, task_input))
        except InvalidRequest as error:
            problems += _placed(error.details, path)
    return candidates, problems


def _candidate(choice: Choice, route: Route, task_input: TaskInput | None) -> Candidate:
    if task_input is None:
        return Candidate(choice=choice, route=route)
    if problems := list(unstorable(choice.params, "")):
        raise InvalidRequest(problems)
    try:
        params = checked(input_for(task_input, choice), route.model.params)
    except InvalidRequest as error:
        raise InvalidRequest(list(_with_way_out(error.details, task_input, choice, route))) from error
    read = input_of(params)  # without inner nulls, which a worker does not remove, and without defaults
    kept = {name: read.get(name, value) for name, value in choice.params.items()}
    return Candidate(choice=structs.replace(choice, params=kept), route=route)


def _with_way_out(
    problems: Sequence[FieldProblem], task_input: Mapping[str, Any], choice: Choice, route: Route
) -> Iterator[FieldProblem]:
    """For a field of the task that the fallback's model does not know, the message says how to leave it out."""
    known = field_names(route.model.params)
    for problem in problems:
        if problem.field in task_input and problem.field not in (*choice.params, *known):
            message = f"{choice.model} has no such field. Leave it out: null in this fallback's `params`."
            yield structs.replace(problem, message=message)
        else:
            yield problem


def _placed(problems: Sequence[FieldProblem], path: str) -> Iterator[FieldProblem]:
    for problem in problems:
        yield structs.replace(problem, field=f"{path}.{problem.field}" if problem.field else path)
