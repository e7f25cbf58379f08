"""For any sequence of operations, `RedisGates` and the in-memory adapter give the same answers."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from core.gates import Admission, Gate, Gates, Ticket, VendorStatus
from core.priorities import Priority
from repositories.gate_rules import GateRules
from repositories.valkey.connection import connect_queue
from repositories.valkey.gates import RedisGates
from tests.contracts.gates import NOW, MovableClock
from tests.fakes.gates import MemoryGates

RULES = GateRules(
    open_after=1,
    open_for=timedelta(seconds=5),
    wait_queue_check=timedelta(seconds=30),
    wait_queue_late=timedelta(seconds=30),
    probe_for=timedelta(seconds=12),
)
PROVIDER = Gate(name="provider:v", limit=2)
SHAPES = (
    ("v", (PROVIDER, Gate(name="model:a", limit=1)), 0.0),
    ("v", (PROVIDER, Gate(name="model:b", learns=True), Gate(name="user:1", limit=1)), 0.0),
    ("w", (Gate(name="provider:w", learns=True), Gate(name="user:1", limit=1)), 1.5),
    ("w", (Gate(name="provider:w", learns=True),), 1.5),
    ("x", (Gate(name="provider:x", learns=True),), 0.0),
    ("x", (Gate(name="provider:x", learns=True),), 0.0),
)
PRIORITIES = (*Priority, *Priority, Priority.DEFAULT, Priority.DEFAULT)


class Step(Struct, frozen=True, kw_only=True):
    """An operation on gates, after some seconds."""

    operation: str
    tasks: tuple[int, ...]
    shape: int
    vendor_status: VendorStatus
    after_s: float


STEPS = st.builds(
    Step,
    operation=st.sampled_from(
        ("enter",) * 7 + ("leave",) * 2 + ("report",) * 4 + ("report and leave", "forget", "restore", "next_waiting")
    ),
    tasks=st.lists(st.integers(0, len(PRIORITIES) - 1), min_size=1, max_size=5, unique=True).map(tuple),
    shape=st.integers(0, len(SHAPES) - 1),
    vendor_status=st.sampled_from(VendorStatus),
    after_s=st.sampled_from((0.0,) * 12 + (0.001, 0.5, 1.5, 5.0, 12.0, 30.0, 60.0, 61.0, 200.0)),
)


def ticket_of(step: Step, number: int, clock: MovableClock) -> Ticket:
    """The ticket of the task of that number; ids are not in the order of times, and some times are equal."""
    account, gates, submit_interval_s = SHAPES[step.shape]
    return Ticket(
        task_id=f"task_{number * 3 % len(PRIORITIES)}",
        account=account,
        gates=gates,
        priority=PRIORITIES[number],
        since=NOW + timedelta(milliseconds=number // 2),
        submit_interval_s=submit_interval_s,
        held_until=clock() + timedelta(seconds=90 + number),
    )


async def answer(gates: Gates, step: Step, clock: MovableClock) -> Any:
    """The answer of the gates to a step."""
    tickets = [ticket_of(step, number, clock) for number in step.tasks]
    match step.operation:
        case "enter":
            return [await gates.enter(ticket) for ticket in tickets]
        case "leave":
            return [await gates.leave(ticket) for ticket in tickets]
        case "report":
            return [await gates.report(ticket, step.vendor_status) for ticket in tickets]
        case "report and leave":
            return [await gates.leave(ticket, step.vendor_status) for ticket in tickets]
        case "forget":
            return await gates.forget(tickets[0].task_id)
        case "restore":
            return await gates.restore(tickets)
        case _:
            return await gates.next_waiting()


async def state(gates: Gates) -> Any:
    """All that can be seen from outside."""
    views, circuit_breakers = await gates.views()
    task_ids = [f"task_{number}" for number in range(len(PRIORITIES))]
    return (
        sorted(views, key=lambda view: view.name),
        sorted(circuit_breakers, key=lambda view: view.account),
        await gates.holders(),
        await gates.in_wait_queue(task_ids),
    )


async def compare(redis_url: str, steps: Sequence[Step]) -> None:
    """Run the same steps on both, at the same times."""
    clock = MovableClock()
    redis = connect_queue(redis_url)
    await redis.flushall()
    real, in_memory = RedisGates(redis, clock=clock, rules=RULES), MemoryGates(clock=clock, rules=RULES)
    try:
        for step in steps:
            clock.forward(step.after_s)
            assert _plain(await answer(real, step, clock)) == _plain(await answer(in_memory, step, clock)), step
            assert _plain(await state(real)) == _plain(await state(in_memory)), step
    finally:
        await redis.aclose()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=8, max_size=50))
def test_gates_in_valkey_decide_as_their_in_memory_adapter(redis_url: str, steps: list[Step]) -> None:
    """Answers, wakes and everything that can be seen are the same after each step."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(compare(redis_url, steps))
    finally:
        loop.close()


def _plain(value: Any) -> Any:
    if isinstance(value, Admission):
        return (value.refusal, value.gate, value.again_at, tuple(value.wakes))
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
