"""The claim engine, where it differs from plain arq: notifications, renewed locks and outages of Redis."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from arq.connections import ArqRedis

from cli.embedded.ports import free_port
from cli.embedded.servers import ValkeyServer
from core.claims import Claim, ClaimEnding, TakenClaims
from core.clock import utc_now
from core.errors import QueueUnavailable
from core.priorities import Priority
from repositories.valkey.claims import RedisClaims
from repositories.valkey.connection import connect_queue
from tests.contracts.engine_fixtures import ClaimEngineFixture
from tests.contracts.wake_engine import PATIENCE_S, Steps, at_work, many, settled, until
from tests.contracts.wake_queue import wake_each
from tests.servers import running
from worker.engine import claim_engine
from worker.task_cancellation import cancelled


@pytest.fixture
def fixture(redis: ArqRedis) -> ClaimEngineFixture:
    """An empty queue."""
    return ClaimEngineFixture(redis)


class SlowClaims(RedisClaims):
    """
    Claims whose looks can be kept under way, and whose prolongings are counted.

    Attributes:
        arrived: Set when a look has taken something and is about to answer.
        go: What such a look waits for.
        eight_times: Set when one claim, or several, were prolonged eight times.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.arrived = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self.held = 0
        self.eight_times = asyncio.Event()

    async def take(self, most: int, *, ended: Sequence[ClaimEnding] = ()) -> TakenClaims:
        """Take, and return when `go` is set."""
        taken = await super().take(most, ended=ended)
        if taken.claims:
            self.arrived.set()
            await self.go.wait()
        return taken

    async def hold(self, claims: Sequence[Claim]) -> None:
        """Renew, and count."""
        await super().hold(claims)
        self.held += len(claims)
        if self.held >= 8:
            self.eight_times.set()


async def test_a_sleeping_worker_is_woken_by_the_wake(fixture: ClaimEngineFixture) -> None:
    """Ten wakes, one after the other, take less time than one sleep of the worker."""
    steps = Steps()
    async with at_work(fixture.engine(steps)):
        await fixture.queue.wake("task_0", at=utc_now())
        await steps.have(1)
        began = utc_now()
        for number in range(10):
            await fixture.queue.wake(f"task_{number + 1}", at=utc_now())
            await steps.have(number + 2)

    assert utc_now() - began < timedelta(seconds=2)


async def test_sleeping_workers_help_a_full_one(fixture: ClaimEngineFixture) -> None:
    """Wakes for which a worker has no slot are taken by idle workers at once."""
    go = asyncio.Event()

    async def block(_: str) -> None:
        await go.wait()

    steps = Steps(block)
    async with at_work(*(fixture.engine(steps, concurrency=1) for _ in range(3))):
        await wake_each(fixture.queue, many(3, Priority.DEFAULT, at=utc_now()))
        async with asyncio.timeout(3):
            await steps.have(3)
        go.set()


async def test_a_later_wake_is_on_time_though_its_worker_is_full(fixture: ClaimEngineFixture) -> None:
    """A worker without a free slot notifies an idle one of the next wake."""
    go = asyncio.Event()

    async def block(task_id: str) -> None:
        if task_id != "task_later":
            await go.wait()

    steps = Steps(block)
    async with at_work(fixture.engine(steps, concurrency=1)):
        due = utc_now() + timedelta(seconds=0.8)
        await fixture.queue.wake("task_later", at=due)
        async with at_work(fixture.engine(steps, concurrency=1)):
            await wake_each(fixture.queue, many(1, Priority.DEFAULT, at=utc_now()))
            await steps.have(2)
            assert utc_now() < due + timedelta(seconds=1)
            go.set()


async def test_a_step_longer_than_its_lock_is_not_run_twice(fixture: ClaimEngineFixture) -> None:
    """The worker renews the locks of its running steps."""
    claims = SlowClaims(fixture.redis, worker="holder", lock_s=0.3, idle_s=0.05)
    go = asyncio.Event()

    async def block(_: str) -> None:
        await go.wait()

    steps = Steps(block)
    async with at_work(claim_engine(fixture.redis, claims, steps, concurrency=2)):
        await fixture.queue.wake("task_1", at=utc_now())
        await steps.have(1)
        async with at_work(fixture.engine(steps)):
            await claims.eight_times.wait()
        go.set()
        await settled(fixture.redis)

    assert steps.ran == ["task_1"]


async def test_wakes_whose_claim_is_under_way_at_a_stop_are_given_back(fixture: ClaimEngineFixture) -> None:
    """They run on another worker at once, and not on the one that stops."""
    claims = SlowClaims(fixture.redis, worker="leaver", idle_s=4.0)
    claims.go.clear()
    steps, others = Steps(), Steps()
    leaver = claim_engine(fixture.redis, claims, steps, concurrency=2)
    async with at_work(leaver):
        await wake_each(fixture.queue, many(2, Priority.DEFAULT, at=utc_now()))
        async with asyncio.timeout(PATIENCE_S):
            await claims.arrived.wait()
        draining = asyncio.create_task(leaver.drain(grace_s=PATIENCE_S))
        async with at_work(fixture.engine(others)):
            claims.go.set()
            assert await draining == 0
            async with asyncio.timeout(3):
                await others.have(2)

    assert steps.ran == []


async def test_a_restarted_redis_is_used_again(tmp_path: Path) -> None:
    """Without Redis, steps end and the worker waits; ended claims are settled when Redis is available again."""
    async with running(ValkeyServer(tmp_path, port=free_port())) as server:
        redis = connect_queue(server.url)
        fixture = ClaimEngineFixture(redis)
        go = asyncio.Event()

        async def block(task_id: str) -> None:
            if task_id == "task_before":
                await go.wait()

        steps = Steps(block)
        with structlog.testing.capture_logs() as logs:
            async with at_work(fixture.engine(steps)):
                await fixture.queue.wake("task_before", at=utc_now())
                await steps.have(1)
                await server.stop()
                go.set()

                async def noticed() -> bool:
                    return bool(sum(entry["event"] == "queue_unavailable" for entry in logs) >= 3)

                await until(noticed)
                await server.start()
                await _wake(fixture, "task_after")
                await steps.have(2)
                await settled(redis)
        await redis.aclose()

    assert steps.ran == ["task_before", "task_after"]


async def test_a_stop_without_redis_does_not_hang(tmp_path: Path) -> None:
    """Claims that cannot be given back are due again when their locks expire."""
    async with running(ValkeyServer(tmp_path, port=free_port())) as server:
        redis = connect_queue(server.url)
        engine = ClaimEngineFixture(redis).engine(Steps())
        work = asyncio.create_task(engine.run())
        await server.kill()

        async with asyncio.timeout(PATIENCE_S):
            assert await engine.drain(grace_s=5.0) == 0
            await cancelled([work])
        await redis.aclose()


async def test_an_undecodable_job_is_dropped(fixture: ClaimEngineFixture) -> None:
    """It is logged and other wakes run; the reconciler wakes the task again."""
    await fixture.redis.enqueue_job("unheard_of", _job_id="task_x:1")
    await fixture.redis.psetex("arq:job:task_y:1", 60_000, b"\xc1")
    await fixture.redis.zadd(fixture.redis.default_queue_name, {"task_y:1": 1})
    steps = Steps()

    with structlog.testing.capture_logs() as logs:
        async with at_work(fixture.engine(steps)):
            await fixture.queue.wake("task_1", at=utc_now())
            await steps.have(1)
            await settled(fixture.redis)

    assert [entry["event"] for entry in logs] == ["wake_undecodable"] * 2


async def _wake(fixture: ClaimEngineFixture, task_id: str) -> None:
    """Queue a wake as soon as Redis takes it."""

    async def taken() -> bool:
        with contextlib.suppress(QueueUnavailable):
            await fixture.queue.wake(task_id, at=at)
            return True
        return False

    at = utc_now()
    await until(taken)
