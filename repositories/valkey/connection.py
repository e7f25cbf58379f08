"""Redis or Valkey client: connection, job serializers, and translation of its errors."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from arq.connections import ArqRedis
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

from core.errors import ConfigurationError, QueueUnavailable
from core.priorities import Priority
from polyrelay import Secret

QUEUE_NAMES: Final[Mapping[Priority, str]] = {priority: f"polyrelay:wakes:{priority}" for priority in Priority}
"""The sorted sets of wakes, by priority."""

CLIENT_ERRORS: Final = (RedisError, OSError)
"""What the client raises where Redis is unavailable or refuses a command."""


def serialize(job: dict[str, Any]) -> bytes:
    """A job as msgpack: the `job_serializer` of clients and workers. An exception is encoded as its text."""
    return msgspec.msgpack.encode(job, enc_hook=repr)


def deserialize(data: bytes) -> dict[str, Any]:
    """The job of `serialize`: the `job_deserializer` of clients and workers."""
    return msgspec.msgpack.decode(data, type=dict[str, Any])


def connect_queue(
    url: Secret | str, *, connect_timeout_s: float = 2.0, timeout_s: float = 5.0, connections: int = 50
) -> ArqRedis:
    """
    A client for the wake queue, the gates and the announcements. Connects on first use. Close with `aclose()`.

    A call fails if no response comes within `timeout_s`, or if all `connections` stay busy for that time.

    Raises:
        ConfigurationError: The URL is not a Redis URL.
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
        # the client's text may contain a part of the password
        raise ConfigurationError(
            "REDIS_URL is not a Redis URL; expected redis://[user:password@]host:port/number, "
            "user and password percent-encoded"
        ) from None
    redis = ArqRedis(
        pool,
        job_serializer=serialize,
        job_deserializer=deserialize,
        default_queue_name=QUEUE_NAMES[Priority.DEFAULT],
    )
    redis.auto_close_connection_pool = True  # by default a client leaves a pool that was given to it open
    return redis


@contextlib.contextmanager
def queue_errors(redis: ArqRedis) -> Iterator[None]:
    """Translates the errors of the client into `QueueUnavailable`; the text names the server, without credentials."""
    try:
        yield
    except CLIENT_ERRORS as error:
        raise unavailable(redis, error) from error


def unavailable(redis: ArqRedis, error: Exception) -> QueueUnavailable:
    """The error for callers after one of `CLIENT_ERRORS`; its text names the server, without credentials."""
    options = redis.connection_pool.connection_kwargs
    server = options.get("path") or f"{options.get('host')}:{options.get('port')}"
    return QueueUnavailable(f"Redis at {server} cannot be reached: {str(error) or type(error).__name__}")
