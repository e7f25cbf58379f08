"""Gathers the evidence when a run is over."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from core.task_states import OPEN
from core.tasks import Task
from repositories.mongodb.client import Database
from repositories.mongodb.task_documents import WITHOUT_INPUT, task_of
from tests.chaos.evidence import RedisKey

_HELD = "polyrelay:gate:held:"
_LINE = "polyrelay:gate:line:"
_QUEUE = "polyrelay:wakes:"


async def all_tasks(database: Database) -> Mapping[str, Task]:
    """The whole record."""
    return {
        document["_id"]: task_of(document)
        async for document in database.get_collection("tasks").find({}, WITHOUT_INPUT)
    }


async def latest_deadline(database: Database) -> Any:
    """Until when the last of the open tasks ends, or None where none is open."""
    states = {"state": {"$in": sorted(OPEN)}}
    found = (
        await database.get_collection("tasks").find(states, {"deadline": 1}).sort("deadline", -1).limit(1).to_list(1)
    )
    return found[0]["deadline"] if found else None


async def all_keys(redis: Redis) -> Sequence[RedisKey]:
    """Every key in Redis, with its life, and the wakes of queues."""
    return [await _key(redis, name) async for name in redis.scan_iter(count=1000) if await redis.exists(name)]


async def _key(redis: Redis, name: bytes) -> RedisKey:
    ttl_ms, members = await redis.pttl(name), {}
    if name.decode().startswith(_QUEUE) and await redis.type(name) == b"zset":
        members = {wake.decode(): score / 1000 for wake, score in await redis.zrange(name, 0, -1, withscores=True)}
    return RedisKey(name=name.decode(), ttl_ms=ttl_ms, members=members)


async def held_tasks(redis: Redis) -> Sequence[str]:
    """Tasks that hold any gate."""
    found: set[str] = set()
    async for name in redis.scan_iter(match=f"{_HELD}*", count=1000):
        found |= {member.decode() for member in await redis.zrange(name, 0, -1)}
    return sorted(found)


async def wait_queue_lengths(redis: Redis) -> Mapping[str, int]:
    """How many stand in each gate's line."""
    return {
        name.decode().removeprefix(_LINE): await redis.zcard(name)
        async for name in redis.scan_iter(match=f"{_LINE}*", count=1000)
    }


def file_names(folder: Path) -> frozenset[str]:
    """Names in the result store."""
    return frozenset(str(path.relative_to(folder)) for path in _files(folder))


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
