"""Wakes in Redis, in arq's format."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

from core.clock import utc_now
from core.errors import ConfigurationError, QueueUnavailable
from polyrelay import Secret

QUEUE_NAME: Final = "polyrelay:wakes"
"""The sorted set that workers read."""

WAKE_FUNCTION: Final = "advance"
"""The name under which a worker registers `async def advance(ctx, task_id)`."""

WAKE_KEPT: Final = timedelta(days=7)
"""How long a wake that no worker takes is kept after its time; then the record's `wake_at` brings it back."""

_IDS_TRIED: Final = 20


def serialize(job: dict[str, Any]) -> bytes:
    """A job as msgpack: the `job_serializer` of clients and workers. An exception becomes its text."""
    return msgspec.msgpack.encode(job, enc_hook=repr)


def deserialize(data: bytes) -> dict[str, Any]:
    """The job of `serialize`: the `job_deserializer` of clients and workers."""
    return msgspec.msgpack.decode(data, type=dict[str, Any])


def connect_queue(
    url: Secret | str, *, connect_timeout_s: float = 2.0, timeout_s: float = 5.0, connections: int = 50
) -> ArqRedis:
    """
    A client for clients and workers of the queue; connects on first use. Close with `aclose()`.

    An answer is given up on after `timeout_s`; a call that finds all `connections` busy waits so long for one.

    Raises:
        ConfigurationError: The URL is no Redis URL.
    """
    text = url.reveal() if isinstance(url, Secret) else url
    try:
        pool = BlockingConnectionPool.from_url(
            text,
            max_connections=connections,
            timeout=timeout_s,
            socket_connect_timeout=connect_timeout_s,
            socket_timeout=timeout_s,
            socket_keepalive=True,
            health_check_interval=30,
            client_name="polyrelay",
        )
    except ValueError:
        # The client's text may quote a part of the password.
        raise ConfigurationError(
            "REDIS_URL is not a Redis URL; expected redis://[user:password@]host:port/number, "
            "user and password percent-encoded"
        ) from None
    return ArqRedis(pool, job_serializer=serialize, job_deserializer=deserialize, default_queue_name=QUEUE_NAME)


class ArqWakeQueue:
    """
    Wakes as arq jobs of the function `advance`, with the task's id as the one argument.

    The same task at the same millisecond is one job. Workers must keep no results (`keep_result=0`).
    """

    def __init__(self, redis: ArqRedis, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._redis = redis
        self._clock = clock

    async def wake(self, task_id: str, *, at: datetime) -> None:
        """
        As `WakeQueue.wake`.

        arq drops a job whose id exists, also while that job runs, and a running job may have read the record before
        the caller changed it. So a dropped one counts only if it has not begun; otherwise the next id is taken.
        """
        due = max(at, self._clock())
        with _queue_errors(self._redis):
            for later in range(_IDS_TRIED):
                if await self._enqueue(task_id, due, later=later):
                    return
        raise QueueUnavailable(f"Redis did not take a wake of task {task_id}")

    async def ping(self) -> None:
        """As `WakeQueue.ping`."""
        with _queue_errors(self._redis):
            await self._redis.ping()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _enqueue(self, task_id: str, due: datetime, *, later: int) -> bool:
        job_id = f"{task_id}:{_milliseconds(due) + later}"
        job = await self._redis.enqueue_job(
            WAKE_FUNCTION, task_id, _job_id=job_id, _defer_until=due, _expires=due - self._clock() + WAKE_KEPT
        )
        return job is not None or await self._will_run(job_id)

    async def _will_run(self, job_id: str) -> bool:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.exists(job_key_prefix + job_id)
            pipe.exists(in_progress_key_prefix + job_id)
            queued, running = await pipe.execute()
        return bool(queued and not running)


@contextlib.contextmanager
def _queue_errors(redis: ArqRedis) -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        options = redis.connection_pool.connection_kwargs
        server = options.get("path") or f"{options.get('host')}:{options.get('port')}"
        raise QueueUnavailable(f"Redis at {server} cannot be reached: {str(error) or type(error).__name__}") from error


def _milliseconds(moment: datetime) -> int:
    return (moment.astimezone(UTC) - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
