"""Which limit holds for a model: the operator's for it, the operator's for all, the catalogue's, or a learned one."""

from datetime import UTC, datetime
from typing import Any

import pytest

from core.gates import Gate
from core.registry import Registry
from core.tasks import Task
from polyrelay import Model, Provider, TaskType
from services.limits.admission import Admissions, GateLimits, TaskWaker
from tests.fakes.gates import MemoryGates
from tests.fakes.tasks import MemoryTaskRepository
from tests.fakes.wakes import MemoryWakeQueue
from tests.unit.services.execution_fixture import Drawn, ScriptedService

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAME = "model:vendor/pen-3"


def gates_of(limits: GateLimits, *, max_open: int | None, **fields: Any) -> tuple[Gate, ...]:
    """The gates of a task for a model with that `max_open`."""
    service = ScriptedService(submit=())
    service.models = (Model(name="pen-3", type=TaskType.IMAGE, params=Drawn, timeout_s=60, max_open=max_open),)
    route = Registry([Provider("vendor", [service])]).route("vendor", "pen-3")
    task = Task(
        id="task_1", type=TaskType.IMAGE, provider="vendor", model="pen-3", user_id="u", created=NOW, updated=NOW,
        deadline=NOW, **fields,
    )  # fmt: skip
    waker = TaskWaker(MemoryTaskRepository(), MemoryWakeQueue(), lambda: NOW)
    return Admissions(MemoryGates(), waker, limits).ticket(task, route).gates


@pytest.mark.parametrize(
    ("models", "max_open", "limit"),
    [
        ({"pen-3": 2, "*": 5}, 9, 2),
        ({"*": 5}, 9, 5),
        ({"other": 5}, 9, 9),
        ({}, 9, 9),
        ({}, None, None),
    ],
)
def test_the_nearest_limit_of_a_model_holds(models: dict[str, int], max_open: int | None, limit: int | None) -> None:
    """A model's own setting, then the setting for all, then the catalogue; a gate without any learns."""
    assert gates_of(GateLimits(models=models), max_open=max_open) == (
        Gate(name=NAME, limit=limit, learns=limit is None),
    )


def test_providers_and_users_have_gates_where_they_are_bounded() -> None:
    """A provider's own setting or that for all; a user's; the model's gate stays the first."""
    gates = gates_of(GateLimits(providers={"*": 4}, per_user=3), max_open=1)

    assert [(gate.name, gate.limit, gate.learns) for gate in gates] == [
        (NAME, 1, False),
        ("provider:vendor", 4, False),
        ("user:u", 3, False),
    ]


def test_a_key_has_a_gate_where_its_task_says_so() -> None:
    """The gate is that of the key's owner, which rotated keys share; a task without an owner has none."""
    bounded = gates_of(GateLimits(), max_open=1, owner="ow_1", key_max_concurrent=2)

    assert bounded[1:] == (Gate(name="key:ow_1", limit=2),)
    assert gates_of(GateLimits(), max_open=1, owner="ow_1")[1:] == ()
    assert gates_of(GateLimits(), max_open=1, key_max_concurrent=2)[1:] == ()
