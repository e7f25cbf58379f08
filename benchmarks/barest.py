"""
The minimal durable create on this stack: the cost of the framework, MongoDB and Valkey by themselves.

It decodes a request, inserts it, journaled by a majority, adds a wake to a sorted set, and answers with an id. Requests
of the same moment share both writes, as in the API. There is no validation, index, log, audit row or authentication,
and no worker could read the wake.
"""

import os
import time
from collections.abc import Sequence
from typing import Any

from litestar import Litestar, post
from msgspec import Struct, structs

from benchmarks.accept import Echo
from core.gc_tuning import tune_garbage_collector
from core.random_ids import random_hex
from repositories.group_commit import GroupCommit
from repositories.mongodb.client import connect_mongo
from repositories.valkey.connection import connect_queue

_MOST = 500


class Created(Struct):
    """The response."""

    task_id: str


def barest_app() -> Litestar:
    """The application, on the servers of MONGO_URL and REDIS_URL."""
    tasks = connect_mongo(os.environ["MONGO_URL"]).get_collection("barest")
    redis = connect_queue(os.environ["REDIS_URL"])

    async def inserted(documents: Sequence[dict[str, Any]]) -> Sequence[None]:
        await tasks.insert_many(documents, ordered=False)
        return [None] * len(documents)

    async def woken(ids: Sequence[str]) -> Sequence[None]:
        now = time.time() * 1000
        async with redis.pipeline(transaction=False) as pipeline:
            pipeline.zadd("barest", dict.fromkeys(ids, now))
            pipeline.mset({f"barest:{task_id}": b"a job" for task_id in ids})
            await pipeline.execute()
        return [None] * len(ids)

    insert = GroupCommit[dict[str, Any], None](inserted, most=_MOST, at_once=2)
    wake = GroupCommit[str, None](woken, most=_MOST)

    @post("/barest")
    async def create(data: Echo) -> Created:
        task_id = f"task_{random_hex(16)}"
        await insert({"_id": task_id, "state": "pending", "created": time.time(), **structs.asdict(data)})
        await wake(task_id)
        return Created(task_id=task_id)

    tune_garbage_collector()
    return Litestar([create], openapi_config=None, logging_config=None)
