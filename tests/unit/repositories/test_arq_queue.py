"""`ArqWakeQueue` on fakeredis: the contract, arq's format, and wakes that arq would drop."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix, result_key_prefix
from fakeredis import FakeAsyncRedis

from core.clock import utc_now
from core.errors import ConfigurationError
from core.priorities import Priority
from polyrelay import Secret
from repositories.valkey.connection import QUEUE_NAMES, connect_queue, deserialize, serialize
from repositories.valkey.wakes import WAKE_FUNCTION, WAKE_KEPT, ArqWakeQueue
from tests.contracts.arq_queue import ReadableArqQueue
from tests.contracts.wake_queue import WakeQueueContract

NOW = utc_now()


@pytest.fixture
async def redis() -> AsyncIterator[ArqRedis]:
    """An empty Redis of the test's own."""
    fake = FakeAsyncRedis()
    yield ArqRedis(
        fake.connection_pool,
        job_serializer=serialize,
        job_deserializer=deserialize,
        default_queue_name=QUEUE_NAMES[Priority.DEFAULT],
    )
    await fake.aclose()


class TestArqWakeQueue(WakeQueueContract):
    """`ArqWakeQueue` keeps the contract."""

    @pytest.fixture
    def queue(self, redis: ArqRedis) -> ReadableArqQueue:
        """An empty one."""
        return ReadableArqQueue(redis)


@pytest.fixture
def stopped(redis: ArqRedis) -> ArqWakeQueue:
    """A queue whose clock stands still, so that every wake for now has the same millisecond."""
    return ArqWakeQueue(redis, clock=lambda: NOW)


async def only_job(redis: ArqRedis) -> str:
    """The id of the one job that is queued."""
    (job_id,) = await redis.zrange(QUEUE_NAMES[Priority.DEFAULT], 0, -1)
    return str(job_id.decode())


async def test_a_wake_is_a_job_of_the_advance_function(redis: ArqRedis, stopped: ArqWakeQueue) -> None:
    """The job carries the task's id and nothing else; its own id is the task and the millisecond."""
    await stopped.wake("task_1", at=NOW)

    (job,) = await redis.queued_jobs()
    assert (job.function, list(job.args), job.kwargs) == (WAKE_FUNCTION, ["task_1"], {})
    assert job.job_id == f"task_1:{round(NOW.timestamp() * 1000)}"


async def test_a_wake_is_kept_for_days_after_its_time(redis: ArqRedis, stopped: ArqWakeQueue) -> None:
    """Every key has a time to live."""
    await stopped.wake("task_1", at=NOW + timedelta(days=2))

    ttl_ms = await redis.pttl(job_key_prefix + await only_job(redis))
    assert timedelta(milliseconds=ttl_ms) > WAKE_KEPT + timedelta(days=1, hours=23)


async def test_a_running_job_does_not_swallow_a_wake(redis: ArqRedis, stopped: ArqWakeQueue) -> None:
    """It may have read the task before the change: a new wake of the same millisecond is another job."""
    await stopped.wake("task_1", at=NOW)
    await redis.set(in_progress_key_prefix + await only_job(redis), b"1")

    await stopped.wake("task_1", at=NOW)

    assert await redis.zcard(QUEUE_NAMES[Priority.DEFAULT]) == 2


async def test_a_kept_result_does_not_swallow_a_wake(redis: ArqRedis, stopped: ArqWakeQueue) -> None:
    """Even where some worker keeps results, a wake of the same millisecond is another job."""
    job_id = f"task_1:{round(NOW.timestamp() * 1000)}"
    await redis.set(result_key_prefix + job_id, b"1")

    await stopped.wake("task_1", at=NOW)

    assert await redis.zcard(QUEUE_NAMES[Priority.DEFAULT]) == 1


def test_an_exception_in_a_job_is_kept_as_text() -> None:
    """arq hands exceptions to the serializer; the worker does not fail on them."""
    assert deserialize(serialize({"r": ValueError("no"), "s": False})) == {"r": "ValueError('no')", "s": False}


@pytest.mark.parametrize("url", ["", "http://user:hidden@x", "redis://user:hid/den@x:y/0"])
def test_an_unusable_url_is_a_configuration_error(url: str) -> None:
    """The text names the setting and quotes nothing of it."""
    with pytest.raises(ConfigurationError, match="REDIS_URL") as caught:
        connect_queue(Secret(url))

    assert "hid" not in str(caught.value)
