"""The arq engine: takes wakes, runs steps, survives outages of Redis and exceptions of steps, and drains."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from arq.connections import ArqRedis
from fakeredis import FakeAsyncRedis
from redis.exceptions import ConnectionError as RedisAway

from core.errors import StoreUnavailable
from core.priorities import Priority
from repositories.valkey.connection import QUEUE_NAMES, deserialize, serialize
from repositories.valkey.wakes import ArqWakeQueue
from worker.engine import Engine, Step, arq_engine

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


class FragileRedis(ArqRedis):
    """
    arq's client on a Redis in memory, whose pipelines fail as often as told: arq claims a wake with one.

    Attributes:
        broken_claims: How many of the next claims fail.
    """

    broken_claims = 0

    def pipeline(self, *args: Any, **options: Any) -> Any:
        """Fail, or make a pipeline."""
        if self.broken_claims:
            self.broken_claims -= 1
            raise RedisAway("cut, as the test wanted it")
        return super().pipeline(*args, **options)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses after errors are short, and arq does not send INFO, which the in-memory Redis does not support."""

    async def no_info(*_: object) -> None:
        """Nothing to say."""

    monkeypatch.setattr("worker.engine._PAUSE_S", 0.01)
    monkeypatch.setattr("arq.worker.log_redis_info", no_info)


@pytest.fixture
async def redis() -> AsyncIterator[FragileRedis]:
    """A Redis in memory."""
    client = FragileRedis(
        FakeAsyncRedis().connection_pool,
        job_serializer=serialize,
        job_deserializer=deserialize,
        default_queue_name=QUEUE_NAMES[Priority.DEFAULT],
    )
    yield client
    await client.aclose()


@asynccontextmanager
async def running(redis: ArqRedis, step: Step, *, concurrency: int = 10) -> AsyncIterator[Engine]:
    """An engine that takes wakes while the block runs."""
    queues = {Priority.DEFAULT: QUEUE_NAMES[Priority.DEFAULT]}
    engine = arq_engine(redis, queues, step, concurrency=concurrency, poll_s=0.005)
    work = asyncio.create_task(engine.run())
    try:
        yield engine
    finally:
        await engine.drain(grace_s=0.0)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


class Steps:
    """Steps that are counted; an event is set when as many ran as expected."""

    def __init__(self, expected: int, act: Callable[[str], Awaitable[None]] | None = None) -> None:
        self.ran: list[str] = []
        self.all_ran = asyncio.Event()
        self._expected = expected
        self._act = act

    async def __call__(self, task_id: str, _: str) -> None:
        """Count, then act."""
        self.ran.append(task_id)
        if len(self.ran) >= self._expected:
            self.all_ran.set()
        if self._act is not None:
            await self._act(task_id)


async def wake(redis: ArqRedis, *task_ids: str, at: datetime = LONG_AGO) -> None:
    """Queue wakes."""
    for task_id in task_ids:
        await ArqWakeQueue(redis).wake(task_id, at=at)


async def test_each_wake_runs_one_step(redis: FragileRedis) -> None:
    """Every due wake runs the step with its task's id, and leaves nothing behind in Redis but its queue."""
    steps = Steps(3)
    await wake(redis, "task_a", "task_b", "task_c")

    async with running(redis, steps):
        await asyncio.wait_for(steps.all_ran.wait(), 5)

    assert sorted(steps.ran) == ["task_a", "task_b", "task_c"]


async def test_a_wake_of_the_future_is_left_alone(redis: FragileRedis) -> None:
    """A wake is not taken before its time."""
    steps = Steps(1)
    await wake(redis, "task_later", at=datetime.now(UTC) + timedelta(hours=1))
    await wake(redis, "task_now")

    async with running(redis, steps):
        await asyncio.wait_for(steps.all_ran.wait(), 5)

    assert steps.ran == ["task_now"]
    assert await redis.zcard(QUEUE_NAMES[Priority.DEFAULT]) >= 1


async def test_an_exception_of_a_step_does_not_reach_other_steps(redis: FragileRedis) -> None:
    """An exception of a step is logged, and further steps run; its wake is used up."""

    broke = asyncio.Event()

    async def break_down(task_id: str) -> None:
        if task_id == "task_bad":
            broke.set()
            raise ValueError("a defect")

    steps = Steps(2, break_down)
    await wake(redis, "task_bad")
    async with running(redis, steps, concurrency=1):
        await asyncio.wait_for(broke.wait(), 5)
        await wake(redis, "task_good")
        await asyncio.wait_for(steps.all_ran.wait(), 5)

    assert steps.ran == ["task_bad", "task_good"]


async def test_a_step_without_the_database_is_repeated(redis: FragileRedis) -> None:
    """A wake whose step raised `StoreUnavailable` arrives again."""

    async def unavailable_once(_: str) -> None:
        if len(steps.ran) == 1:
            raise StoreUnavailable("away")

    steps = Steps(2, unavailable_once)
    await wake(redis, "task_a")

    async with running(redis, steps):
        await asyncio.wait_for(steps.all_ran.wait(), 5)

    assert steps.ran == ["task_a", "task_a"]


async def test_broken_claims_cost_no_slots(redis: FragileRedis) -> None:
    """A connection that breaks while wakes are claimed, many times over, leaves every slot usable afterwards."""
    together = asyncio.Event()

    async def meet(_: str) -> None:
        if len(steps.ran) == 2:
            together.set()
        await together.wait()

    steps = Steps(2, meet)
    await wake(redis, "task_a", "task_b")
    redis.broken_claims = 7

    async with running(redis, steps, concurrency=2):
        await asyncio.wait_for(steps.all_ran.wait(), 5)

    assert redis.broken_claims == 0


async def test_concurrency_is_a_limit(redis: FragileRedis) -> None:
    """At most `concurrency` steps run at once."""
    now, most = 0, 0

    async def count(_: str) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1

    steps = Steps(12, count)
    await wake(redis, *(f"task_{number}" for number in range(12)))

    async with running(redis, steps, concurrency=3):
        await asyncio.wait_for(steps.all_ran.wait(), 5)

    assert most <= 3


async def test_a_stop_waits_for_running_steps(redis: FragileRedis) -> None:
    """Draining lets running steps end and takes no further wakes."""
    go = asyncio.Event()
    ended = []

    async def work(task_id: str) -> None:
        await go.wait()
        ended.append(task_id)

    steps = Steps(1, work)
    await wake(redis, "task_a")
    async with running(redis, steps) as engine:
        await asyncio.wait_for(steps.all_ran.wait(), 5)
        draining = asyncio.create_task(engine.drain(grace_s=30.0))
        await asyncio.sleep(0)
        await wake(redis, "task_b")
        go.set()

        assert await draining == 0
        assert engine.running == 0

    assert (steps.ran, ended) == (["task_a"], ["task_a"])
    assert await redis.zcard(QUEUE_NAMES[Priority.DEFAULT]) >= 1


async def test_a_stop_ends_what_does_not_end(redis: FragileRedis) -> None:
    """Steps that outlast the grace period are cancelled and counted, and their wakes stay in the queue."""
    steps = Steps(2, lambda _: asyncio.Event().wait())  # type: ignore[arg-type, return-value]
    await wake(redis, "task_a", "task_b")

    async with running(redis, steps) as engine:
        await asyncio.wait_for(steps.all_ran.wait(), 5)
        assert await engine.drain(grace_s=0.01) == 2

    assert await redis.zcard(QUEUE_NAMES[Priority.DEFAULT]) >= 2


async def test_a_stop_counts_steps_that_are_just_being_claimed(redis: FragileRedis) -> None:
    """A wake that is being claimed at the stop stays in the queue or its step is waited for."""
    ended: list[str] = []

    async def work(task_id: str) -> None:
        await asyncio.sleep(0)
        ended.append(task_id)

    steps = Steps(1, work)
    await wake(redis, *(f"task_{number}" for number in range(20)))
    async with running(redis, steps, concurrency=20) as engine:
        await asyncio.wait_for(steps.all_ran.wait(), 5)
        await engine.drain(grace_s=30.0)
        assert sorted(steps.ran) == sorted(ended)
        assert engine.running == 0
