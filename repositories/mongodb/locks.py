"""Locks in MongoDB: a periodic job runs once in its period, however many workers there are."""

from datetime import timedelta

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from core.clock import Clock
from repositories.mongodb.client import Database, server_of, store_errors


class MongoLocks:
    """Adapter of `Locks`: one document per job in the collection `locks`."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._locks = database.get_collection("locks")
        self._clock = clock

    async def take(self, name: str, *, for_s: float) -> bool:
        """As `Locks.take`. The clocks of the workers may differ by less than `for_s`."""
        now = self._clock()
        try:
            with store_errors(server_of(self._database)):
                await self._locks.find_one_and_update(
                    {"_id": name, "until": {"$lte": now}},
                    {"$set": {"until": now + timedelta(seconds=for_s)}},
                    upsert=True,
                    return_document=ReturnDocument.AFTER,
                )
        except DuplicateKeyError:
            return False  # the lock exists and has not expired
        return True
