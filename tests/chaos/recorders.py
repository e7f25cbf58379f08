"""Follows what is written while everything breaks: each version of each task, and each call at the vendor."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import msgspec
from pymongo.errors import PyMongoError

from repositories.mongodb.client import Database
from repositories.mongodb.task_documents import task_of
from simulator.control import Stats
from tests.chaos.evidence import Submits, VendorCall, Version

_PAUSE_S = 0.2


class Histories:
    """
    Every write to every task, from MongoDB's own log, which outlives its crashes.

    Args:
        database: Where the tasks are. `prepare` must be called before the first of them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._found: dict[str, list[Version]] = defaultdict(list)
        self._resume: Any = None
        self._since: Any = None
        self._seen = asyncio.Event()

    @property
    def found(self) -> Mapping[str, Sequence[Version]]:
        """The writes of each task, in order."""
        return self._found

    async def prepare(self) -> None:
        """Have MongoDB keep each version whole from now on."""
        await self._database.command("collMod", "tasks", changeStreamPreAndPostImages={"enabled": True})
        self._since = (await self._database.command("ping"))["operationTime"]

    async def follow(self) -> None:
        """Go on until cancelled, through any outage."""
        while True:
            try:
                await self._read()
            except PyMongoError:
                await asyncio.sleep(_PAUSE_S)

    async def caught_up(self) -> None:
        """Wait until all that was written before is known."""
        self._seen.clear()
        await self._database.get_collection("chaos").insert_one({"mark": True})
        await self._seen.wait()

    async def _read(self) -> None:
        pipeline = [{"$match": {"ns.coll": {"$in": ["tasks", "chaos"]}}}]
        start = {"resume_after": self._resume} if self._resume else {"start_at_operation_time": self._since}
        async with self._database.watch(pipeline, full_document="whenAvailable", **start) as stream:
            async for change in stream:
                self._resume = change["_id"]
                self._note(change)

    def _note(self, change: Mapping[str, Any]) -> None:
        if change["ns"]["coll"] == "chaos":
            self._seen.set()
            return
        document = change.get("fullDocument")
        if document is None and change["operationType"] != "delete":
            raise RuntimeError("MongoDB kept no whole version of a task")
        task = None if document is None else task_of(document)
        self._found[change["documentKey"]["_id"]].append(Version(at=change["wallTime"], task=task))


class Ledger:
    """The simulator's counts and calls, read often, as it keeps the latest thousand calls only."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url
        self.calls: set[VendorCall] = set()
        self.submits: Mapping[str, Submits] = {}

    async def follow(self, *, period_s: float = 2.0) -> None:
        """Go on until cancelled."""
        while True:
            await self.read()
            await asyncio.sleep(period_s)

    async def read(self) -> None:
        """Read what is new."""
        answer = await self._http.get(f"{self._url}/_control/stats", timeout=30.0)
        stats = msgspec.json.decode(answer.raise_for_status().content, type=Stats)
        fields = VendorCall.__struct_fields__
        self.calls |= {VendorCall(**{name: getattr(call, name) for name in fields}) for call in stats.calls}
        self.submits = {
            prompt: Submits(received=count.received, accepted=count.accepted) for prompt, count in stats.prompts.items()
        }
