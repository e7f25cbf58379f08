"""Reads the final state of a run: stored tasks, keys in Redis, and files in the result store."""

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
_WAIT_QUEUE = "polyrelay:gate:line:"
_QUEUE = "polyrelay:wakes:"


async def all_tasks(database: Database) -> Mapping[str, Task]:
    """All stored tasks, by id."""
    return {
        document["_id"]: task_of(document)
        async for document in database.get_collection("tasks").find({}, WITHOUT_INPUT)
    }


async def latest_deadline(database: Database) -> Any:
    """The latest deadline of an open task, or None if no task is open."""
    states = {"state": {"$in": sorted(OPEN)}}
    found = (
        await database.get_collection("tasks").find(states, {"deadline": 1}).sort("deadline", -1).limit(1).to_list(1)
    )
    return found[0]["deadline"] if found else None


async def all_keys(redis: Redis) -> Sequence[RedisKey]:
    """Every key in Redis, with its expiry, and the wakes in wake queues."""
    return [await _key(redis, name) async for name in redis.scan_iter(count=1000) if await redis.exists(name)]


async def _key(redis: Redis, name: bytes) -> RedisKey:
    ttl_ms, members = await redis.pttl(name), {}
    if name.decode().startswith(_QUEUE) and await redis.type(name) == b"zset":
        members = {wake.decode(): score / 1000 for wake, score in await redis.zrange(name, 0, -1, withscores=True)}
    return RedisKey(name=name.decode(), ttl_ms=ttl_ms, members=members)


async def held_tasks(redis: Redis) -> Sequence[str]:
    """Ids of tasks that hold a slot of any gate, sorted."""
    found: set[str] = set()
    async for name in redis.scan_iter(match=f"{_HELD}*", count=1000):
        found |= {member.decode() for member in await redis.zrange(name, 0, -1)}
    return sorted(found)


async def wait_queue_lengths(redis: Redis) -> Mapping[str, int]:
    """The length of each gate's wait queue."""
    return {
        name.decode().removeprefix(_WAIT_QUEUE): await redis.zcard(name)
        async for name in redis.scan_iter(match=f"{_WAIT_QUEUE}*", count=1000)
    }


def file_names(folder: Path) -> frozenset[str]:
    """The names of the files in a result store, given its folder."""
    return frozenset(str(path.relative_to(folder)) for path in _files(folder))


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
