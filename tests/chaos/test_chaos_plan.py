"""Tests of the plan: it depends on the seed alone, has every kind of task and fault, and its tasks are valid."""

import pytest
from msgspec import json

from cli.embedded.upstreams import VENDORS, simulated
from core.clock import utc_now
from core.redaction import redaction
from core.registry import load_registry
from polyrelay import Env, TaskType
from services.limits.task_quotas import QuotaLimits, TaskQuotas
from services.tasks.create import CreateTask
from simulator.faults import Fault
from tests.chaos.plan import MODELS, FaultType, FollowUp, PlannedFault, PlannedTask, planned_faults, planned_tasks
from tests.fakes.quotas import MemoryQuotas
from tests.fakes.tasks import MemoryTaskRepository
from tests.fakes.wakes import MemoryWakeQueue

WORKERS = ("worker-1", "worker-2")


def plan_tasks(seed: int = 1) -> list[PlannedTask]:
    """A minute of them, which has each kind."""
    return list(planned_tasks(seed=seed, seconds=60.0, rate=6.0, deadline_s=(10.0, 20.0)))


def plan_faults(seed: int = 1) -> list[PlannedFault]:
    """A minute of them, which has each kind."""
    return list(planned_faults(seed=seed, seconds=60.0, workers=WORKERS, interval_s=3.0, longest_outage_s=5.0))


def test_a_seed_gives_the_same_run_again() -> None:
    """Tasks and faults are equal for equal seeds, and differ for different ones."""
    assert plan_tasks(1) == plan_tasks(1)
    assert plan_faults(1) == plan_faults(1)
    assert plan_tasks(1) != plan_tasks(2)
    assert plan_faults(1) != plan_faults(2)


def test_no_two_tasks_have_the_same_prompt() -> None:
    """Prompts are unique, since the simulator counts submits by prompt."""
    prompts = [planned.prompt for planned in plan_tasks()]
    assert len(set(prompts)) == len(prompts)


def test_planned_tasks_are_of_every_kind() -> None:
    """All models, priorities and follow-ups occur, with and without fallbacks."""
    found = plan_tasks()
    assert {planned.body["model"] for planned in found} == {model.name for model in MODELS}
    assert {planned.body.get("priority") for planned in found} == {None, "critical", "low"}
    assert {planned.follow_up for planned in found} == set(FollowUp)
    assert {"fallbacks" in planned.body for planned in found} == {True, False}


def test_planned_faults_are_of_every_kind_and_sorted() -> None:
    """A minute has each process fault, each target and each vendor fault, sorted by time."""
    found = plan_faults()
    assert {fault.type for fault in found} == set(FaultType)
    assert {fault.target for fault in found} == {"", "api", "mongo", "valkey", *WORKERS}
    vendor_faults = {type(fault.vendor_fault.fault) for fault in found if fault.vendor_fault}
    assert vendor_faults == set(Fault.__args__)
    assert [fault.at_s for fault in found] == sorted(fault.at_s for fault in found)


def test_vendor_faults_can_be_sent_to_the_simulator() -> None:
    """Each vendor fault is equal after encoding and decoding as JSON."""
    for fault in plan_faults():
        if fault.vendor_fault is not None:
            assert json.decode(json.encode(fault.vendor_fault), type=type(fault.vendor_fault)) == fault.vendor_fault


@pytest.mark.parametrize("seed", range(3))
async def test_the_api_accepts_every_planned_task(seed: int) -> None:
    """No planned task is invalid, so each response other than 201 is caused by a fault."""
    env = Env(simulated(VENDORS, "http://127.0.0.1:1"))
    registry = load_registry(env)
    tasks = MemoryTaskRepository()
    task_quotas = TaskQuotas(MemoryQuotas(), tasks, QuotaLimits())
    create = CreateTask(tasks, MemoryWakeQueue(), registry, utc_now, task_quotas, redact=redaction())
    try:
        for planned in plan_tasks(seed):
            created = await create(TaskType(planned.type), planned.body)
            assert created.task.prompt == planned.prompt
    finally:
        await registry.aclose()
