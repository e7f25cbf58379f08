"""Used signatures in MongoDB: the collection `replays`."""

from datetime import datetime

from pymongo.errors import DuplicateKeyError

from repositories.mongodb.client import Database, server_of, store_errors


class MongoUsedSignatures:
    """Adapter of `UsedSignatures`: one document per signature, which MongoDB deletes once its `until` has passed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._used_signatures = database.get_collection("replays")

    async def prepare(self) -> None:
        """Create the index by which MongoDB deletes expired signatures."""
        with store_errors(server_of(self._database)):
            await self._used_signatures.create_index("until", expireAfterSeconds=0)

    async def spend(self, signature: str, *, until: datetime) -> bool:
        """As `UsedSignatures.spend`."""
        try:
            with store_errors(server_of(self._database)):
                await self._used_signatures.insert_one({"_id": signature, "until": until})
        except DuplicateKeyError:
            return False
        return True

    async def spent(self, signature: str) -> bool:
        """As `UsedSignatures.spent`."""
        with store_errors(server_of(self._database)):
            return await self._used_signatures.find_one({"_id": signature}, {"_id": 1}) is not None
