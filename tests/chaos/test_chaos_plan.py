"""The plan of chaos: known beforehand, whole, and one that the API takes."""

import pytest
from msgspec import json

from cli.embedded.upstreams import VENDORS, simulated
from core.clock import utc_now
from core.registry import load_registry
from polyrelay import Env, TaskType
from services.limits.task_quotas import QuotaLimits, TaskQuotas
from services.tasks.create import CreateTask
from simulator.faults import Fault
from tests.chaos.plan import MODELS, Act, Blow, Order, Then, blows, orders
from tests.fakes.quotas import MemoryQuotas
from tests.fakes.tasks import MemoryTaskRepository
from tests.fakes.wakes import MemoryWakeQueue

WORKERS = ("worker-1", "worker-2")


def many_orders(seed: int = 1) -> list[Order]:
    """Enough for each kind."""
    return list(orders(seed=seed, seconds=60.0, rate=6.0, deadline_s=(10.0, 20.0)))


def many_blows(seed: int = 1) -> list[Blow]:
    """Enough for each kind."""
    return list(blows(seed=seed, seconds=60.0, workers=WORKERS, calm_s=3.0, longest_s=5.0))


def test_a_seed_gives_the_same_run_again() -> None:
    """Orders and blows follow from the seed, and another seed gives others."""
    assert many_orders(1) == many_orders(1)
    assert many_blows(1) == many_blows(1)
    assert many_orders(1) != many_orders(2)
    assert many_blows(1) != many_blows(2)


def test_no_two_tasks_have_the_same_prompt() -> None:
    """The simulator counts submits by prompt."""
    prompts = [order.prompt for order in many_orders()]
    assert len(set(prompts)) == len(prompts)


def test_orders_are_of_every_kind() -> None:
    """All models, priorities and later calls occur, with and without fallbacks."""
    found = many_orders()
    assert {order.body["model"] for order in found} == {model.name for model in MODELS}
    assert {order.body.get("priority") for order in found} == {None, "critical", "low"}
    assert {order.then for order in found} == set(Then)
    assert {"fallbacks" in order.body for order in found} == {True, False}


def test_blows_are_of_every_kind_and_in_order() -> None:
    """Each process is hit in each way, and the vendor makes every kind of fault, within a minute."""
    found = many_blows()
    assert {blow.act for blow in found} == set(Act)
    assert {blow.target for blow in found} == {"", "api", "mongo", "valkey", *WORKERS}
    dealt = {type(blow.fault.fault) for blow in found if blow.fault}
    assert dealt == set(Fault.__args__)
    assert [blow.at_s for blow in found] == sorted(blow.at_s for blow in found)


def test_faults_can_be_asked_for() -> None:
    """Each fault has a form that the simulator reads back."""
    for blow in many_blows():
        if blow.fault is not None:
            assert json.decode(json.encode(blow.fault), type=type(blow.fault)) == blow.fault


@pytest.mark.parametrize("seed", range(3))
async def test_the_api_takes_every_order(seed: int) -> None:
    """No order is wrong, so that each answer beside 201 tells of chaos."""
    env = Env(simulated(VENDORS, "http://127.0.0.1:1"))
    registry = load_registry(env)
    tasks = MemoryTaskRepository()
    accept = CreateTask(tasks, MemoryWakeQueue(), registry, utc_now, TaskQuotas(MemoryQuotas(), tasks, QuotaLimits()))
    try:
        for order in many_orders(seed):
            task = await accept(TaskType(order.type), order.body)
            assert task.prompt == order.prompt
    finally:
        await registry.aclose()
