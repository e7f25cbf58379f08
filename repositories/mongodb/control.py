"""Control store in MongoDB: provider switches and reloads set by operators, and reports of processes."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from core.control import ProcessReport
from core.switches import Controls, Switch
from repositories.mongodb.client import Database, server_of, store_errors

FORGOTTEN_AFTER: Final = timedelta(minutes=5)
"""The database deletes the report of a process that has not reported for this long."""
_ID: Final = "providers"


class MongoControlStore:
    """
    Adapter of `ControlStore`: one document in the collection `control`, and one per process in `processes`.

    The document in `control` is small. Every process reads it each second, and each change of it is one write.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._control = database.get_collection("control")
        self._processes = database.get_collection("processes")

    async def prepare(self) -> None:
        """Create the index by which MongoDB deletes the reports of processes that stopped without withdrawing them."""
        with store_errors(server_of(self._database)):
            await self._processes.create_index("seen", expireAfterSeconds=int(FORGOTTEN_AFTER.total_seconds()))

    async def read(self) -> Controls:
        """As `ControlStore.read`."""
        with store_errors(server_of(self._database)):
            return controls_of(await self._control.find_one({"_id": _ID}))

    async def switch(self, provider: str, switch: Switch) -> Controls:
        """As `ControlStore.switch`."""
        document = msgspec.to_builtins(switch, builtin_types=(datetime,))
        return await self._change({"$inc": {"revision": 1}, "$set": {f"switches.{provider}": document}})

    async def request_reload(self, plugin: str | None = None) -> Controls:
        """As `ControlStore.request_reload`."""
        generation = {"$add": [{"$ifNull": ["$generation", 0]}, 1]}
        changes: list[dict[str, Any]] = [
            {"$set": {"generation": generation, "revision": {"$add": [{"$ifNull": ["$revision", 0]}, 1]}}}
        ]
        if plugin is not None:
            kept = {
                "$filter": {
                    "input": {"$ifNull": ["$forced", []]},
                    "cond": {"$ne": ["$$this.plugin", {"$literal": plugin}]},
                }
            }
            new = [{"plugin": {"$literal": plugin}, "generation": "$generation"}]
            changes.append({"$set": {"forced": {"$concatArrays": [kept, new]}}})
        return await self._change(changes)

    async def report(self, report: ProcessReport) -> None:
        """As `ControlStore.report`."""
        document = msgspec.to_builtins(report, builtin_types=(datetime,))
        document["_id"] = document.pop("id")
        with store_errors(server_of(self._database)):
            await self._processes.replace_one({"_id": document["_id"]}, document, upsert=True)

    async def withdraw(self, process_id: str) -> None:
        """As `ControlStore.withdraw`."""
        with store_errors(server_of(self._database)):
            await self._processes.delete_one({"_id": process_id})

    async def processes(self, *, since: datetime) -> Sequence[ProcessReport]:
        """As `ControlStore.processes`."""
        with store_errors(server_of(self._database)):
            found = await self._processes.find({"seen": {"$gte": since}}).sort([("role", 1), ("_id", 1)]).to_list(None)
        return [report_of(document) for document in found]

    async def _change(self, change: Any) -> Controls:
        with store_errors(server_of(self._database)):
            try:
                return await self._changed(change)
            except DuplicateKeyError:  # two processes created the document at once
                return await self._changed(change)

    async def _changed(self, change: Any) -> Controls:
        document = await self._control.find_one_and_update(
            {"_id": _ID}, change, upsert=True, return_document=ReturnDocument.AFTER
        )
        return controls_of(document)


def controls_of(document: Mapping[str, Any] | None) -> Controls:
    """The decisions of the document; fields of a newer version are ignored."""
    known = dict(document or {})
    known["forced"] = {entry["plugin"]: entry["generation"] for entry in known.get("forced", ())}
    return msgspec.convert(known, Controls)


def report_of(document: Mapping[str, Any]) -> ProcessReport:
    """The report of a document."""
    return msgspec.convert({**document, "id": document["_id"]}, ProcessReport)
