"""`RedisGates` on a real Valkey, and without any server."""

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis

from cli.embedded.ports import free_port
from cli.embedded.servers import ValkeyServer
from core.errors import QueueUnavailable
from core.gates import Gate, Gates, VendorStatus
from repositories.valkey.connection import connect_queue
from repositories.valkey.gates import RedisGates
from tests.contracts.gates import ONE, RULES, TWO, GatesContract, MovableClock, a_ticket, granted, queued_at
from tests.contracts.task_repository import outcome_of
from tests.servers import running


@pytest.fixture
def gates(redis: ArqRedis, clock: MovableClock) -> RedisGates:
    """Empty gates."""
    return RedisGates(redis, clock=clock, rules=RULES)


class TestRedisGates(GatesContract):
    """`RedisGates` keeps the contract."""


async def test_every_key_of_the_gates_has_a_time_to_live(gates: RedisGates, redis: ArqRedis) -> None:
    """No key stays in Redis for ever, and all are under one prefix."""
    learns = Gate(name="model:x", learns=True)
    for number in range(6):
        await gates.enter(a_ticket(number, TWO, learns, submit_interval_s=0.001 * number))
    await gates.report(a_ticket(0, TWO, learns), VendorStatus.THROTTLED)
    for _ in range(6):
        await gates.report(a_ticket(1, TWO, learns), VendorStatus.UNAVAILABLE)
    await gates.leave(a_ticket(0, TWO, learns))
    await gates.restore([a_ticket(8, ONE)])
    await gates.next_waiting()

    keys = await redis.keys("*")
    assert len(keys) > 8
    assert {key for key in keys if not key.startswith(b"polyrelay:gate:")} == set()
    assert {key for key in keys if await redis.ttl(key) < 0} == set()


async def test_a_hold_is_kept_longer_than_a_day_where_it_says_so(gates: RedisGates, redis: ArqRedis) -> None:
    """The key outlives its last hold."""
    ticket = a_ticket(1, ONE)
    await gates.enter(ticket)

    held_s = (ticket.held_until - MovableClock()()).total_seconds()
    for key in (f"polyrelay:gate:held:{ONE.name}", "polyrelay:gate:task:task_1", "polyrelay:gate:holders"):
        assert await redis.ttl(key) >= held_s + RULES.kept.total_seconds() - 60


async def test_a_task_whose_record_was_lost_can_still_be_forgotten(gates: RedisGates, redis: ArqRedis) -> None:
    """All gates are searched; its hold and the place of another are found, and the next is woken."""
    await granted(gates, [a_ticket(number, ONE) for number in (1, 2, 3)])
    await redis.delete("polyrelay:gate:task:task_1", "polyrelay:gate:task:task_2")

    await gates.forget("task_2")
    assert list(await gates.forget("task_1")) == ["task_3"]
    assert list(await gates.holders()) == []


async def test_a_task_whose_record_was_lost_leaves_by_its_ticket(gates: RedisGates, redis: ArqRedis) -> None:
    """The ticket names the gates as well."""
    await granted(gates, [a_ticket(number, ONE) for number in (1, 2)])
    await redis.delete("polyrelay:gate:task:task_1")

    assert list(await gates.leave(a_ticket(1, ONE))) == ["task_2"]


async def test_after_a_loss_restored_holds_count_and_places_come_back(gates: RedisGates, redis: ArqRedis) -> None:
    """Stored submissions hold again, and tasks that ask again wait in the order of their creation."""
    tickets = [a_ticket(number, TWO) for number in range(6)]
    await granted(gates, tickets)
    await redis.flushall()
    await redis.script_flush()

    await gates.restore(tickets[:2])
    assert await granted(gates, tickets[:1:-1]) == []
    assert list(await gates.leave(tickets[0])) == ["task_2"]


async def test_more_tasks_are_restored_than_fit_in_one_request(gates: RedisGates) -> None:
    """All of them hold."""
    await gates.restore([a_ticket(number, TWO) for number in range(450)])

    assert len(await gates.holders()) == 450
    assert sum(await gates.in_wait_queue([f"task_{number}" for number in range(2_100)])) == 0


async def test_five_thousand_waiting_tasks_are_admitted_in_order_by_a_gate_of_two(
    gates: RedisGates, redis: ArqRedis
) -> None:
    """Each that leaves wakes exactly one, and calls take about as long with thousands of waiting tasks as with few."""
    tickets = {f"task_{number}": a_ticket(number, TWO, ONE_THOUSAND) for number in range(5_002)}
    queue = list(tickets.values())
    assert await granted(gates, queue[:500]) == ["task_0", "task_1"]
    short_us = await _mean_us(redis)
    assert await granted(gates, queue[500:]) == []
    long_us = await _mean_us(redis)
    assert await queued_at(gates, TWO.name) == 5_000

    order: list[str] = []
    holders = queue[:2]
    while holders:
        woken = await gates.leave(holders.pop(0))
        assert len(woken) <= 1
        assert await granted(gates, [tickets[task_id] for task_id in woken]) == list(woken)
        holders += [tickets[task_id] for task_id in woken]
        order += woken

    assert order == [ticket.task_id for ticket in queue[2:]]
    assert max(long_us, await _mean_us(redis)) < 5 * short_us


ONE_THOUSAND = Gate(name="user:1", limit=1_000)


async def _mean_us(redis: ArqRedis) -> float:
    """Mean time of a script call in the server since the last reset."""
    usec = (await redis.info("commandstats"))["cmdstat_evalsha"]["usec_per_call"]
    await redis.config_resetstat()
    return float(usec)


async def test_gates_without_a_server_are_queue_unavailable() -> None:
    """Every method raises it."""
    redis = connect_queue(f"redis://127.0.0.1:{free_port()}/0")
    gates: Gates = RedisGates(redis)
    ticket = a_ticket(1, ONE)
    calls: list[Coroutine[Any, Any, Any]] = [
        gates.enter(ticket), gates.report(ticket, VendorStatus.AVAILABLE), gates.leave(ticket), gates.restore([ticket]),
        gates.holders(), gates.next_waiting(), gates.in_wait_queue(["task_1"]), gates.forget("task_1"),
        gates.views(),
    ]  # fmt: skip

    assert [await outcome_of(call) for call in calls] == [QueueUnavailable] * len(calls)
    await redis.aclose()


async def test_gates_work_again_when_their_server_comes_back_empty(tmp_path: Path) -> None:
    """The scripts are loaded again."""
    async with running(ValkeyServer(tmp_path, port=free_port())) as server:
        redis = connect_queue(server.url)
        gates = RedisGates(redis)
        await gates.enter(a_ticket(1, ONE))
        await server.stop()
        assert await outcome_of(gates.enter(a_ticket(2, ONE))) is QueueUnavailable

        await server.start()
        await redis.flushall()
        assert (await gates.enter(a_ticket(2, TWO))).granted
        await redis.aclose()
