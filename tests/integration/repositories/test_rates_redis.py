"""`RedisRates` on a real Valkey, and without any server."""

import asyncio

import pytest
from arq.connections import ArqRedis

from cli.embedded.ports import free_port
from core.errors import QueueUnavailable
from repositories.valkey.connection import connect_queue
from repositories.valkey.rates import RedisRates
from tests.contracts.gates import MovableClock
from tests.contracts.rates import RatesContract, passed


@pytest.fixture
def rates(redis: ArqRedis, clock: MovableClock) -> RedisRates:
    """Rates without any request."""
    return RedisRates(redis, clock=clock)


class TestRedisRates(RatesContract):
    """`RedisRates` keeps the contract."""


async def test_two_processes_share_the_minute(rates: RedisRates, redis_url: str, clock: MovableClock) -> None:
    """Of a hundred that two connections count at once, as many as the limit pass."""
    other_redis = connect_queue(redis_url)
    other = RedisRates(other_redis, clock=clock)
    answers = await asyncio.gather(*((rates, other)[n % 2].count("ow_1", limit=10) for n in range(100)))
    await other_redis.aclose()

    assert sum(answer.passed for answer in answers) == 10


async def test_a_busy_key_needs_limited_memory_and_leaves_none(
    rates: RedisRates, redis: ArqRedis, clock: MovableClock
) -> None:
    """One number for each second of a minute, however many requests; deleted a minute after the last one."""
    for _ in range(200):
        await passed(rates, 3, limit=10_000)
        clock.forward(1)

    (key,) = await redis.keys("*")
    assert await redis.hlen(key) == 60  # type: ignore[misc]
    assert 0 < await redis.ttl(key) <= 61


async def test_requests_of_one_moment_share_a_round_trip(rates: RedisRates, redis: ArqRedis) -> None:
    """A burst does not cost a call each."""
    await rates.count("ow_1", limit=10)
    await redis.config_resetstat()
    await asyncio.gather(*(rates.count("ow_1", limit=1000) for _ in range(150)))

    assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == 1


async def test_rates_without_a_server_are_queue_unavailable() -> None:
    """Every call raises it."""
    redis = connect_queue(f"redis://127.0.0.1:{free_port()}/0")

    with pytest.raises(QueueUnavailable):
        await RedisRates(redis).count("ow_1", limit=1)
    await redis.aclose()
