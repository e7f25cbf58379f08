"""
What every engine does, on a real Redis. A test class inherits this and gives the fixture `fixture`, an `EngineFixture`.

Steps are functions of the test; nothing but wakes and steps is looked at, so plain arq and ours are held to the same.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Protocol

from arq.connections import ArqRedis

from core.clock import utc_now
from core.errors import StoreUnavailable
from core.priorities import Priority
from core.wakes import Wake, WakeQueue
from repositories.valkey.connection import QUEUE_NAMES
from tests.contracts.wake_queue import wake_each
from worker.engine import Engine, Step
from worker.task_cancellation import cancelled

PATIENCE_S = 20.0


class EngineFixture(Protocol):
    """A wake queue, and engines that take from it."""

    redis: ArqRedis
    queue: WakeQueue

    def engine(
        self, step: Step, *, concurrency: int = 10, priorities: Collection[Priority] = tuple(Priority)
    ) -> Engine:
        """Another engine, as in another process."""

    async def lock(self, task_id: str, *, for_s: float) -> None:
        """Queue a wake that a worker has claimed before it crashed."""


class Steps:
    """
    Records each step, then runs it.

    Attributes:
        ran: The tasks, in the order in which their steps began.
        wakes: The names of the wakes that began them.
        at_once: Tasks whose step runs just now.
        doubled: Tasks whose step began while another one of theirs ran.
        again: In how many seconds the wake of that task is to come again, time after time.
    """

    def __init__(self, act: Callable[[str], Awaitable[None]] | None = None) -> None:
        self.ran: list[str] = []
        self.wakes: list[str] = []
        self.again: dict[str, list[float]] = {}
        self.at_once: Counter[str] = Counter()
        self.doubled: list[str] = []
        self._act = act
        self._changed = asyncio.Condition()

    async def __call__(self, task_id: str, wake: str) -> float | None:
        """The step."""
        self.ran.append(task_id)
        self.wakes.append(wake)
        if self.at_once[task_id]:
            self.doubled.append(task_id)
        self.at_once[task_id] += 1
        try:
            async with self._changed:
                self._changed.notify_all()
            if self._act is not None:
                await self._act(task_id)
            return self.again[task_id].pop(0) if self.again.get(task_id) else None
        finally:
            self.at_once[task_id] -= 1

    async def have(self, number: int) -> None:
        """Wait until that number of steps began."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: len(self.ran) >= number)


@asynccontextmanager
async def at_work(*engines: Engine) -> AsyncIterator[None]:
    """Run the engines while the block runs."""
    work = [asyncio.create_task(engine.run()) for engine in engines]
    try:
        yield
    finally:
        await asyncio.gather(*(engine.drain(grace_s=0.0) for engine in engines))
        await cancelled(work)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until that holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not await holds():  # noqa: ASYNC110  another process decides
            await asyncio.sleep(0.005)


async def settled(redis: ArqRedis) -> None:
    """Wait until the queue is empty, and check that no job keys are left."""

    async def empty() -> bool:
        return not any([await redis.zcard(name) for name in QUEUE_NAMES.values()])

    await until(empty)
    assert await redis.keys("arq:*") == []


async def put_back(redis: ArqRedis) -> None:
    """Wait until no wake is running."""

    async def unlocked() -> bool:
        return not await redis.keys("arq:in-progress:*")

    await until(unlocked)


def many(number: int, priority: Priority, *, at: datetime) -> list[Wake]:
    """Wakes of a priority, a millisecond apart."""
    return [
        Wake(task_id=f"{priority}_{place:03}", at=at + timedelta(milliseconds=place), priority=priority)
        for place in range(number)
    ]


class EngineContract:
    """The rules of engines."""

    async def test_each_wake_is_one_step_among_many_workers(self, fixture: EngineFixture) -> None:
        """No wake is lost, none is run twice, and nothing is left behind, whichever worker takes it."""
        now = utc_now() - timedelta(seconds=1)
        wakes = [wake for priority in Priority for wake in many(70, priority, at=now)]
        steps = Steps(lambda _: asyncio.sleep(0))
        await wake_each(fixture.queue, wakes[:100])

        async with at_work(*(fixture.engine(steps, concurrency=4) for _ in range(3))):
            await wake_each(fixture.queue, wakes[100:])
            await steps.have(len(wakes))
            await settled(fixture.redis)

        assert sorted(steps.ran) == sorted(wake.task_id for wake in wakes)

    async def test_a_wake_that_is_running_is_not_requeued(self, fixture: EngineFixture) -> None:
        """A long step is not run twice at once, however often its wake is requeued."""
        lost, after = Wake(task_id="task_slow", at=utc_now()), Wake(task_id="task_after", at=utc_now())
        goes_on = asyncio.Event()

        async def act(task_id: str) -> None:
            if task_id == lost.task_id:
                await goes_on.wait()

        steps = Steps(act)
        await wake_each(fixture.queue, [lost])
        async with at_work(fixture.engine(steps, concurrency=10)):
            await steps.have(1)
            for _ in range(3):
                await fixture.queue.requeue([lost, after])
            await steps.have(2)
            goes_on.set()
            await settled(fixture.redis)

        assert steps.ran.count(lost.task_id) == 1
        assert steps.doubled == []

    async def test_wakes_of_a_priority_run_in_order_of_time(self, fixture: EngineFixture) -> None:
        """The earliest first, in whatever order they were requested."""
        wakes = many(30, Priority.DEFAULT, at=utc_now() - timedelta(seconds=1))
        steps = Steps()
        await wake_each(fixture.queue, wakes[::-1])

        async with at_work(fixture.engine(steps, concurrency=1)):
            await steps.have(30)

        assert steps.ran == [wake.task_id for wake in wakes]

    async def test_ten_slots_go_to_priorities_by_weight(self, fixture: EngineFixture) -> None:
        """Six critical, three default and one low run at once while all have some waiting."""
        go = asyncio.Event()

        async def block(_: str) -> None:
            await go.wait()

        steps = Steps(block)
        now = utc_now() - timedelta(seconds=1)
        for priority in reversed(Priority):
            await wake_each(fixture.queue, many(20, priority, at=now))

        async with at_work(fixture.engine(steps, concurrency=10)):
            await steps.have(10)
            assert Counter(task_id.split("_")[0] for task_id in steps.ran) == {"critical": 6, "default": 3, "low": 1}
            go.set()

    async def test_no_priority_starves(self, fixture: EngineFixture) -> None:
        """A task of low priority is run although critical ones never end."""

        async def again(task_id: str) -> None:
            if task_id.startswith("critical"):
                await fixture.queue.wake(task_id, at=utc_now(), priority=Priority.CRITICAL)
            else:
                low.set()

        low = asyncio.Event()
        steps = Steps(again)
        now = utc_now()
        await wake_each(fixture.queue, many(20, Priority.CRITICAL, at=now))

        async with at_work(fixture.engine(steps, concurrency=3)):
            await steps.have(20)
            await fixture.queue.wake("low_1", at=utc_now(), priority=Priority.LOW)
            async with asyncio.timeout(PATIENCE_S):
                await low.wait()

    async def test_a_worker_serves_the_priorities_of_its_settings(self, fixture: EngineFixture) -> None:
        """Wakes of other priorities stay for other workers."""
        now = utc_now() - timedelta(seconds=1)
        await fixture.queue.wake("low_1", at=now, priority=Priority.LOW)
        await fixture.queue.wake("default_1", at=now)
        steps, others = Steps(), Steps()

        async with at_work(fixture.engine(steps, priorities=[Priority.CRITICAL, Priority.DEFAULT])):
            await steps.have(1)
            await fixture.queue.wake("critical_1", at=utc_now(), priority=Priority.CRITICAL)
            await steps.have(2)
        async with at_work(fixture.engine(others, priorities=[Priority.LOW])):
            await others.have(1)

        assert (steps.ran, others.ran) == (["default_1", "critical_1"], ["low_1"])

    async def test_a_later_wake_runs_when_it_is_due(self, fixture: EngineFixture) -> None:
        """Not before its time, and shortly after, also if it was queued while the worker was idle."""
        began: dict[str, datetime] = {}

        async def note(task_id: str) -> None:
            began[task_id] = utc_now()

        steps = Steps(note)
        async with at_work(fixture.engine(steps)):
            await fixture.queue.wake("task_0", at=utc_now())
            await steps.have(1)
            far, near = utc_now() + timedelta(hours=1), utc_now() + timedelta(milliseconds=150)
            await fixture.queue.wake("task_far", at=far)
            await fixture.queue.wake("task_near", at=near)
            await steps.have(2)

        assert near <= began["task_near"] < near + timedelta(seconds=2)
        assert "task_far" not in began

    async def test_a_step_without_the_database_comes_again(self, fixture: EngineFixture) -> None:
        """After a pause, on the same wake."""

        async def unavailable_once(_: str) -> None:
            if len(steps.ran) == 1:
                raise StoreUnavailable("away")

        steps = Steps(unavailable_once)
        async with at_work(fixture.engine(steps)):
            await fixture.queue.wake("task_1", at=utc_now())
            await steps.have(2)
            await settled(fixture.redis)

        assert steps.ran == ["task_1", "task_1"]

    async def test_a_step_may_wake_its_own_task_again_at_once(self, fixture: EngineFixture) -> None:
        """A wake for the time of the running step is not lost."""
        moment = utc_now()

        async def again(task_id: str) -> None:
            if len(steps.ran) < 4:
                await fixture.queue.wake(task_id, at=moment)

        steps = Steps(again)
        async with at_work(fixture.engine(steps)):
            await fixture.queue.wake("task_1", at=moment)
            await steps.have(4)
            await settled(fixture.redis)

        assert steps.ran == ["task_1"] * 4

    async def test_a_step_knows_its_wake(self, fixture: EngineFixture) -> None:
        """By the name that the queue gives the wake of that task for that moment."""
        at = utc_now() - timedelta(seconds=1)
        steps = Steps()
        async with at_work(fixture.engine(steps)):
            await fixture.queue.wake("task_1", at=at)
            await steps.have(1)

        assert steps.wakes == [fixture.queue.name_of("task_1", at)]

    async def test_a_step_may_have_its_wake_put_back(self, fixture: EngineFixture) -> None:
        """The same wake runs again, as often as the step defers it, and ends when the step does not."""
        began: list[datetime] = []

        async def note(_: str) -> None:
            began.append(utc_now())

        steps = Steps(note)
        steps.again["task_1"] = [0.15, 0.0, 0.15]
        async with at_work(fixture.engine(steps)):
            await fixture.queue.wake("task_1", at=utc_now())
            await steps.have(4)
            await settled(fixture.redis)

        assert len(steps.ran) == 4
        assert len(set(steps.wakes)) == 1
        assert began[1] - began[0] >= timedelta(seconds=0.14)
        assert began[3] - began[2] >= timedelta(seconds=0.14)

    async def test_a_wake_that_was_put_back_is_not_lost(self, fixture: EngineFixture) -> None:
        """Requeueing it adds no wake, and does not make it due earlier."""
        kept = Wake(task_id="task_kept", at=utc_now())
        steps = Steps()
        steps.again[kept.task_id] = [3600.0]
        async with at_work(fixture.engine(steps)):
            await wake_each(fixture.queue, [kept])
            await steps.have(1)
            for number in range(3):
                assert await fixture.queue.lost([kept]) == []
                await fixture.queue.requeue([kept])
                await fixture.queue.wake(f"task_after_{number}", at=utc_now())
                await steps.have(number + 2)

        assert steps.ran.count(kept.task_id) == 1
        assert await fixture.redis.zcard(QUEUE_NAMES[Priority.DEFAULT]) == 1

    async def test_a_wake_that_was_put_back_comes_at_its_moment_if_it_is_wanted_then(
        self, fixture: EngineFixture
    ) -> None:
        """A wake for its original time is not delayed until the step's time."""
        at = utc_now()
        steps = Steps()
        steps.again["task_1"] = [3600.0]
        async with at_work(fixture.engine(steps)):
            await fixture.queue.wake("task_1", at=at)
            await steps.have(1)
            await put_back(fixture.redis)
            await fixture.queue.wake("task_1", at=at)
            await steps.have(2)

        assert steps.ran == ["task_1"] * 2

    async def test_a_wake_that_is_put_back_after_redis_was_emptied_is_lost(self, fixture: EngineFixture) -> None:
        """It can be requeued, and then exists once as before."""
        kept = Wake(task_id="task_kept", at=utc_now())
        go = asyncio.Event()

        async def block(_: str) -> None:
            await go.wait()

        steps = Steps(block)
        steps.again[kept.task_id] = [0.05, 0.05]
        engine = fixture.engine(steps)
        async with at_work(engine):
            await wake_each(fixture.queue, [kept])
            await steps.have(1)
            await fixture.redis.flushall()
            go.set()

            async def lost() -> bool:
                return not engine.running and await fixture.queue.lost([kept]) == [kept]

            await until(lost)
            await fixture.queue.requeue([kept])
            await steps.have(3)
            await settled(fixture.redis)

        assert len(steps.ran) == 3
        assert set(steps.wakes) == {fixture.queue.name_of(kept.task_id, kept.at)}

    async def test_the_wakes_of_a_crashed_worker_come_back(self, fixture: EngineFixture) -> None:
        """When their lock expires, and not earlier."""
        steps = Steps()
        began = utc_now()
        await fixture.lock("task_1", for_s=0.4)

        async with at_work(fixture.engine(steps)):
            await steps.have(1)
            assert utc_now() - began >= timedelta(seconds=0.39)
            await settled(fixture.redis)

        assert steps.ran == ["task_1"]

    async def test_a_stop_takes_nothing_more_and_waits(self, fixture: EngineFixture) -> None:
        """Running steps end; queued wakes stay for other workers."""
        go = asyncio.Event()

        async def block(_: str) -> None:
            await go.wait()

        steps, others = Steps(block), Steps()
        engine = fixture.engine(steps)
        async with at_work(engine):
            await fixture.queue.wake("task_1", at=utc_now())
            await steps.have(1)
            draining = asyncio.create_task(engine.drain(grace_s=PATIENCE_S))
            await asyncio.sleep(0)
            await fixture.queue.wake("task_2", at=utc_now())
            async with at_work(fixture.engine(others)):
                await others.have(1)
            go.set()
            assert await draining == 0

        assert (steps.ran, others.ran) == (["task_1"], ["task_2"])

    async def test_what_a_stop_cuts_off_runs_elsewhere_at_once(self, fixture: EngineFixture) -> None:
        """Without waiting for a lock, on a worker that is idle already."""
        steps, others = Steps(lambda _: asyncio.Event().wait()), Steps()  # type: ignore[arg-type, return-value]
        engine, other = fixture.engine(steps), fixture.engine(others)
        async with at_work(engine):
            await wake_each(fixture.queue, many(3, Priority.DEFAULT, at=utc_now()))
            await steps.have(3)
            async with at_work(other):
                assert await engine.drain(grace_s=0.01) == 3
                async with asyncio.timeout(5):
                    await others.have(3)

        assert sorted(others.ran) == sorted(steps.ran)

    async def test_an_emptied_redis_stops_nothing(self, fixture: EngineFixture) -> None:
        """FLUSHALL loses the wakes and nothing else: running steps end, new wakes run."""
        go = asyncio.Event()

        async def block(task_id: str) -> None:
            if task_id == "task_before":
                await go.wait()

        steps = Steps(block)
        async with at_work(fixture.engine(steps)):
            await fixture.queue.wake("task_before", at=utc_now())
            await steps.have(1)
            await fixture.redis.flushall()
            await fixture.queue.wake("task_after", at=utc_now())
            await steps.have(2)
            go.set()
            await settled(fixture.redis)

        assert steps.ran == ["task_before", "task_after"]
