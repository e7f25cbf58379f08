"""`RedisQuotas` on a real Valkey, and without any server."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest
from arq.connections import ArqRedis

from cli.embedded.ports import free_port
from core.errors import QueueUnavailable
from core.quotas import Counted, Quotas
from repositories.valkey.connection import connect_queue
from repositories.valkey.quotas import RedisQuotas
from tests.contracts.gates import NOW, MovableClock
from tests.contracts.quotas import ONE, TWO, UNTIL, QuotasContract, taken
from tests.contracts.task_repository import outcome_of


@pytest.fixture
def quotas(redis: ArqRedis, clock: MovableClock) -> RedisQuotas:
    """Empty quotas."""
    return RedisQuotas(redis, clock=clock)


class TestRedisQuotas(QuotasContract):
    """`RedisQuotas` keeps the contract."""


async def test_two_processes_share_the_quotas(quotas: RedisQuotas, redis_url: str, clock: MovableClock) -> None:
    """Of a hundred that two connections take at once, exactly as many as the limit count."""
    other_redis = connect_queue(redis_url)
    other = RedisQuotas(other_redis, clock=clock)
    answers = await asyncio.gather(*(taken((quotas, other)[n % 2], f"task_{n}", TWO) for n in range(100)))
    await other_redis.aclose()

    assert answers.count(None) == 2


async def test_every_key_of_the_quotas_lives_a_day_longer_than_what_it_counts(
    quotas: RedisQuotas, redis: ArqRedis
) -> None:
    """No key stays in Redis for ever, and none expires while it counts."""
    later = UNTIL + timedelta(days=3)
    await quotas.take("task_1", [TWO], until=UNTIL)
    await quotas.restore([Counted(quota=ONE.name, task_id="task_2", until=later)])

    lives = {key.decode(): await redis.ttl(key) for key in await redis.keys("*")}
    day = 24 * 3600
    assert lives.keys() == {"polyrelay:quotas", f"polyrelay:quota:{ONE.name}", f"polyrelay:quota:{TWO.name}"}
    assert (UNTIL - NOW).total_seconds() + day - 60 < lives[f"polyrelay:quota:{TWO.name}"]
    assert all(0 < life <= (later - NOW).total_seconds() + day for life in lives.values())


async def test_more_are_restored_than_fit_in_one_request(quotas: RedisQuotas) -> None:
    """All of them count."""
    await quotas.restore([Counted(quota=TWO.name, task_id=f"task_{n}", until=UNTIL) for n in range(1_234)])

    assert len((await quotas.counted())[TWO.name]) == 1_234


async def test_after_all_data_were_lost_the_scripts_are_loaded_again(quotas: RedisQuotas, redis: ArqRedis) -> None:
    """A server without data counts from zero."""
    await taken(quotas, "task_1", ONE)
    await redis.flushall()
    await redis.script_flush()

    assert await taken(quotas, "task_2", ONE) is None


async def test_quotas_without_a_server_are_queue_unavailable() -> None:
    """Every method raises it."""
    redis = connect_queue(f"redis://127.0.0.1:{free_port()}/0")
    quotas: Quotas = RedisQuotas(redis)
    calls: list[Coroutine[Any, Any, Any]] = [
        taken(quotas, "task_1", ONE),
        quotas.give_back("task_1", [ONE.name]),
        quotas.restore([Counted(quota=ONE.name, task_id="task_1", until=UNTIL)]),
        quotas.counted(),
    ]

    assert [await outcome_of(call) for call in calls] == [QueueUnavailable] * len(calls)
    await redis.aclose()


async def test_tasks_of_one_moment_share_a_round_trip(quotas: RedisQuotas, redis: ArqRedis) -> None:
    """Each in its own quotas, with its own answer."""
    await taken(quotas, "task_0", TWO)
    await redis.config_resetstat()
    needed = ((TWO,), (ONE, TWO), (ONE,), (TWO, ONE))
    answers = await asyncio.gather(*(taken(quotas, f"task_{n}", *some) for n, some in enumerate(needed, start=1)))

    assert answers == [None, TWO, None, TWO]
    assert await quotas.counted() == {TWO.name: {"task_0", "task_1"}, ONE.name: {"task_3"}}
    assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == 1
