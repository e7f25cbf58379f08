"""Wakes in Redis, in arq's format, as arq itself writes them."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

from core.clock import utc_now
from core.errors import ConfigurationError, QueueUnavailable
from core.task_repository import Wake
from core.tasks import Priority
from polyrelay import Secret

QUEUE_NAMES: Final[Mapping[Priority, str]] = {priority: f"polyrelay:wakes:{priority}" for priority in Priority}
"""The sorted sets that workers read."""

WAKE_FUNCTION: Final = "advance"
"""The name under which a worker registers `async def advance(ctx, task_id)`."""

WAKE_KEPT: Final = timedelta(days=7)
"""How long a wake that no worker takes is kept after its time; then the record's `wake_at` brings it back."""

_ROUNDING_MS: Final = 1
"""arq computes with floats."""

IDS_TRIED: Final = 20
"""So many wakes of one task for one millisecond may run at once."""


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
    return ArqRedis(
        pool,
        job_serializer=serialize,
        job_deserializer=deserialize,
        default_queue_name=QUEUE_NAMES[Priority.DEFAULT],
    )


class ArqWakeQueue:
    """
    Wakes as arq jobs of the function `advance`, with the task's id as the one argument.

    The same task at the same millisecond is one job. Workers must keep no results (`keep_result=0`).
    """

    def __init__(self, redis: ArqRedis, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._redis = redis
        self._clock = clock

    async def wake(self, task_id: str, *, at: datetime, priority: Priority = Priority.DEFAULT) -> None:
        """
        As `WakeQueue.wake`.

        arq drops a job whose id exists, also while that job runs, and a running job may have read the record before
        the caller changed it. So a dropped one counts only if it comes by then and has not begun; otherwise the next
        id is taken.
        """
        wake = Wake(task_id=task_id, at=at, priority=priority)
        with queue_errors(self._redis):
            for later in range(IDS_TRIED):
                if await self._enqueue(wake, later=later):
                    return
        raise QueueUnavailable(f"Redis did not take a wake of task {task_id}")

    async def wake_many(self, wakes: Sequence[Wake]) -> None:
        """As `WakeQueue.wake_many`."""
        for wake in wakes:
            await self.wake(wake.task_id, at=wake.at, priority=wake.priority)

    def name_of(self, task_id: str, at: datetime) -> str:
        """As `WakeQueue.name_of`: the job's id."""
        return _job_id(task_id, milliseconds(at))

    async def lost(self, wakes: Sequence[Wake]) -> Sequence[Wake]:
        """As `WakeQueue.lost`, in one round trip: an id stays in its queue until its job is done."""
        names = [self.name_of(wake.task_id, wake.at) for wake in wakes]
        queued: set[str] = set()
        with queue_errors(self._redis):
            for priority in {wake.priority for wake in wakes}:
                some = [name for name, wake in zip(names, wakes, strict=True) if wake.priority is priority]
                places = await self._redis.zmscore(QUEUE_NAMES[priority], some)
                queued.update(name for name, place in zip(some, places, strict=True) if place is not None)
        return [wake for name, wake in zip(names, wakes, strict=True) if name not in queued]

    async def repair(self, wakes: Sequence[Wake]) -> None:
        """As `WakeQueue.repair`."""
        for wake in await self.lost(wakes):
            with queue_errors(self._redis):
                if not await self._redis.exists(in_progress_key_prefix + self.name_of(wake.task_id, wake.at)):
                    await self.wake(wake.task_id, at=wake.at, priority=wake.priority)

    async def ping(self) -> None:
        """As `WakeQueue.ping`."""
        with queue_errors(self._redis):
            await self._redis.ping()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _enqueue(self, wake: Wake, *, later: int) -> bool:
        job_id = _job_id(wake.task_id, milliseconds(wake.at) + later)
        queue_name = QUEUE_NAMES[wake.priority]
        job = await self._redis.enqueue_job(
            WAKE_FUNCTION,
            wake.task_id,
            _job_id=job_id,
            _queue_name=queue_name,
            _defer_until=wake.at,
            _expires=kept_for(wake, self._clock()),
        )
        return job is not None or await self._will_run(job_id, queue_name, by=milliseconds(wake.at))

    async def _will_run(self, job_id: str, queue_name: str, *, by: int) -> bool:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.exists(job_key_prefix + job_id)
            pipe.zscore(queue_name, job_id)
            pipe.exists(in_progress_key_prefix + job_id)
            stored, place, running = await pipe.execute()
        return bool(stored and place is not None and place <= by + _ROUNDING_MS and not running)


def _job_id(task_id: str, ms: int) -> str:
    return f"{task_id}:{ms}"


def kept_for(wake: Wake, now: datetime) -> timedelta:
    """How long a wake's job is kept from now."""
    return max(wake.at - now, timedelta()) + WAKE_KEPT


def milliseconds(moment: datetime) -> int:
    """A moment as the queue has it: since 1970, in UTC."""
    return round(moment.timestamp() * 1_000_000) // 1000  # whole microseconds are exact in a float


@contextlib.contextmanager
def queue_errors(redis: ArqRedis) -> Iterator[None]:
    """Turns the errors of a lost Redis into `QueueUnavailable`; the text names the server and no credentials."""
    try:
        yield
    except (RedisError, OSError) as error:
        options = redis.connection_pool.connection_kwargs
        server = options.get("path") or f"{options.get('host')}:{options.get('port')}"
        raise QueueUnavailable(f"Redis at {server} cannot be reached: {str(error) or type(error).__name__}") from error
