"""`ArqWakeQueue` on a real Valkey, with a real arq worker, and without any server."""

import asyncio
import socket
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis
from arq.worker import Worker, func

from cli.embedded.ports import free_port
from cli.embedded.servers import ValkeyServer
from core.clock import utc_now
from core.errors import QueueUnavailable
from core.priorities import Priority
from polyrelay import Secret
from repositories.valkey.claims import NotifyingWakeQueue
from repositories.valkey.connection import QUEUE_NAMES, connect_queue, deserialize, serialize
from repositories.valkey.wakes import WAKE_FUNCTION, ArqWakeQueue
from tests.contracts.arq_queue import ReadableArqQueue
from tests.contracts.task_repository import outcome_of
from tests.contracts.wake_queue import WakeQueueContract
from tests.servers import running


class TestArqWakeQueue(WakeQueueContract):
    """`ArqWakeQueue` keeps the contract."""

    @pytest.fixture
    def queue(self, redis: ArqRedis) -> ReadableArqQueue:
        """An empty one."""
        return ReadableArqQueue(redis)


class TestNotifyingWakeQueue(WakeQueueContract):
    """`NotifyingWakeQueue` keeps the contract."""

    @pytest.fixture
    def queue(self, redis: ArqRedis) -> ReadableArqQueue:
        """An empty one."""
        return ReadableArqQueue(redis, NotifyingWakeQueue(redis))


async def work_off(redis: ArqRedis, advance: Any) -> Worker:
    """Run an arq worker until nothing is queued, neither now nor for later."""
    worker = Worker(
        functions=[func(advance, name=WAKE_FUNCTION)],
        queue_name=QUEUE_NAMES[Priority.DEFAULT],
        redis_pool=redis,
        burst=True,
        poll_delay=0.01,
        keep_result=0,
        handle_signals=False,
        job_serializer=serialize,
        job_deserializer=deserialize,
    )
    async with asyncio.timeout(20):
        await worker.async_run()
    return worker


async def test_a_worker_gets_the_tasks_it_is_woken_for(redis: ArqRedis) -> None:
    """Each wake is one call with the task's id; afterwards no key is left."""
    queue = ArqWakeQueue(redis)
    seen: list[str] = []

    async def advance(_context: dict[str, Any], task_id: str) -> None:
        seen.append(task_id)

    await asyncio.gather(*(queue.wake(f"task_{number}", at=utc_now()) for number in range(30)))
    worker = await work_off(redis, advance)

    assert sorted(seen) == sorted(f"task_{number}" for number in range(30))
    assert (worker.jobs_complete, worker.jobs_failed) == (30, 0)
    assert await redis.keys("arq:*") == []


async def test_a_worker_gets_a_later_wake_when_it_is_due(redis: ArqRedis) -> None:
    """Not before its moment, and an earlier wake does not wait for it."""
    queue = ArqWakeQueue(redis)
    started: dict[str, datetime] = {}

    async def advance(_context: dict[str, Any], task_id: str) -> None:
        started[task_id] = utc_now()

    at = utc_now() + timedelta(milliseconds=400)
    await queue.wake("task_late", at=at)
    await queue.wake("task_early", at=utc_now())
    await work_off(redis, advance)

    assert started["task_early"] < started["task_late"]
    assert at <= started["task_late"]


async def test_a_step_may_wake_its_own_task_again_at_once(redis: ArqRedis) -> None:
    """A wake that falls into the millisecond of the job that is running is done as well."""
    moment = utc_now()
    queue = ArqWakeQueue(redis, clock=lambda: moment)
    steps: list[str] = []

    async def advance(_context: dict[str, Any], task_id: str) -> None:
        steps.append(task_id)
        if len(steps) < 3:
            await queue.wake(task_id, at=moment)

    await queue.wake("task_1", at=moment)
    await work_off(redis, advance)

    assert steps == ["task_1"] * 3


async def test_a_step_that_fails_leaves_no_key(redis: ArqRedis) -> None:
    """The stored task decides what happens next; the queue deletes the job."""
    queue = ArqWakeQueue(redis)

    async def advance(_context: dict[str, Any], task_id: str) -> None:
        raise ValueError(task_id)

    await queue.wake("task_1", at=utc_now())
    worker = await work_off(redis, advance)

    assert worker.jobs_failed == 1
    assert await redis.zcard(QUEUE_NAMES[Priority.DEFAULT]) == 0
    assert await redis.keys("arq:*") == []


async def test_an_unreachable_server_is_queue_unavailable() -> None:
    """Each call says so; the text names the server and no credentials."""
    queue = ArqWakeQueue(connect_queue(Secret(f"redis://user:hidden@127.0.0.1:{free_port()}/0")))

    assert await outcome_of(queue.wake("task_1", at=utc_now())) is QueueUnavailable
    with pytest.raises(QueueUnavailable, match=r"Redis at 127\.0\.0\.1:\d+ cannot be reached") as caught:
        await queue.ping()
    assert "hidden" not in str(caught.value)
    await queue.aclose()


async def test_a_server_that_never_answers_is_queue_unavailable() -> None:
    """A call ends after its timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        queue = ArqWakeQueue(connect_queue(f"redis://127.0.0.1:{port}/0", timeout_s=0.05))

        async with asyncio.timeout(5):
            assert await outcome_of(queue.wake("task_1", at=utc_now())) is QueueUnavailable
            assert await outcome_of(queue.ping()) is QueueUnavailable
        await queue.aclose()


async def test_a_queue_recovers_and_keeps_its_wakes_when_its_server_comes_back(tmp_path: Path) -> None:
    """While Valkey is unavailable wakes fail; afterwards the same queue works, with the wakes that were queued."""
    async with running(ValkeyServer(tmp_path, port=free_port())) as server:
        readable = ReadableArqQueue(connect_queue(server.url))
        now = utc_now()
        await readable.queue.wake("task_1", at=now)

        await server.stop()
        assert await outcome_of(readable.queue.wake("task_2", at=now)) is QueueUnavailable

        await server.start()
        await readable.queue.wake("task_3", at=now)
        assert set(await readable.due(utc_now())) == {"task_1", "task_3"}
        await readable.queue.aclose()


async def test_more_wakes_at_once_than_connections_all_arrive(redis_url: str) -> None:
    """A call waits for a free connection."""
    redis = connect_queue(redis_url, connections=3)
    queue = ArqWakeQueue(redis)

    await asyncio.gather(*(queue.wake(f"task_{number}", at=utc_now()) for number in range(200)))

    assert await redis.zcard(QUEUE_NAMES[Priority.DEFAULT]) == 200
    await queue.aclose()


async def test_wakes_at_once_share_round_trips(redis: ArqRedis) -> None:
    """Fifty at the same moment are one call of the script, and all are queued."""
    queue = NotifyingWakeQueue(redis)
    await queue.wake("task_0", at=utc_now())
    before = await scripts_called(redis)

    await asyncio.gather(*(queue.wake(f"task_{number}", at=utc_now()) for number in range(1, 50)))

    assert await scripts_called(redis) == before + 1
    assert await redis.zcard(QUEUE_NAMES[Priority.DEFAULT]) == 50


async def scripts_called(redis: ArqRedis) -> int:
    """How often the server has run a script."""
    return int((await redis.info("commandstats"))["cmdstat_evalsha"]["calls"])
