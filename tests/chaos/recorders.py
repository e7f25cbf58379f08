"""Recorders that run during the faults: every version of every task, and every call at the simulated vendor."""

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


class TaskHistories:
    """
    Records every write to every task from MongoDB's change stream, which resumes after a crash of MongoDB.

    Args:
        database: The database of the tasks. Call `prepare` before the first task is created.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._versions: dict[str, list[Version]] = defaultdict(list)
        self._resume: Any = None
        self._since: Any = None
        self._marker_read = asyncio.Event()

    @property
    def versions(self) -> Mapping[str, Sequence[Version]]:
        """The versions of each task, in order."""
        return self._versions

    async def prepare(self) -> None:
        """Let MongoDB keep a full copy of each version from now on."""
        await self._database.command("collMod", "tasks", changeStreamPreAndPostImages={"enabled": True})
        self._since = (await self._database.command("ping"))["operationTime"]

    async def follow(self) -> None:
        """Record until cancelled; continues after an outage of MongoDB."""
        while True:
            try:
                await self._read()
            except PyMongoError:
                await asyncio.sleep(_PAUSE_S)

    async def caught_up(self) -> None:
        """Wait until all earlier writes are recorded."""
        self._marker_read.clear()
        await self._database.get_collection("chaos").insert_one({"mark": True})
        await self._marker_read.wait()

    async def _read(self) -> None:
        pipeline = [{"$match": {"ns.coll": {"$in": ["tasks", "chaos"]}}}]
        start = {"resume_after": self._resume} if self._resume else {"start_at_operation_time": self._since}
        async with self._database.watch(pipeline, full_document="whenAvailable", **start) as stream:
            async for change in stream:
                self._resume = change["_id"]
                self._note(change)

    def _note(self, change: Mapping[str, Any]) -> None:
        if change["ns"]["coll"] == "chaos":
            self._marker_read.set()
            return
        document = change.get("fullDocument")
        if document is None and change["operationType"] != "delete":
            raise RuntimeError("MongoDB has no full copy of a version of a task")
        task = None if document is None else task_of(document)
        self._versions[change["documentKey"]["_id"]].append(Version(at=change["wallTime"], task=task))


class VendorRecords:
    """Records the simulator's counts and calls; reads often, since the simulator keeps the latest 1,000 calls only."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url
        self.calls: set[VendorCall] = set()
        self.submits: Mapping[str, Submits] = {}

    async def follow(self, *, period_s: float = 2.0) -> None:
        """Record until cancelled."""
        while True:
            await self.read()
            await asyncio.sleep(period_s)

    async def read(self) -> None:
        """Read the current counts and the calls that are new."""
        answer = await self._http.get(f"{self._url}/_control/stats", timeout=30.0)
        stats = msgspec.json.decode(answer.raise_for_status().content, type=Stats)
        fields = VendorCall.__struct_fields__
        self.calls |= {VendorCall(**{name: getattr(call, name) for name in fields}) for call in stats.calls}
        self.submits = {
            prompt: Submits(received=count.received, accepted=count.accepted) for prompt, count in stats.prompts.items()
        }
