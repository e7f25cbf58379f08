"""Opens, prepares and closes all adapters of a process: MongoDB, Valkey and the result store."""

from contextlib import AsyncExitStack
from datetime import timedelta

from arq.connections import ArqRedis
from msgspec import Struct
from msgspec.structs import asdict

from core.clock import Clock, utc_now
from core.settings import Settings
from repositories.mongodb.audit import MongoAuditLog
from repositories.mongodb.client import Database, connect_mongo
from repositories.mongodb.control import MongoControlStore
from repositories.mongodb.keys import MongoKeys
from repositories.mongodb.locks import MongoLocks
from repositories.mongodb.tasks import MongoTaskRepository
from repositories.mongodb.used_signatures import MongoUsedSignatures
from repositories.mongodb.users import MongoUsers
from repositories.result_store import ObjectResultStore, connect_results
from repositories.valkey.announcements import RedisAnnouncements
from repositories.valkey.claims import wake_queue
from repositories.valkey.connection import connect_queue
from repositories.valkey.gates import RedisGates
from repositories.valkey.quotas import RedisQuotas
from repositories.valkey.rates import RedisRates
from repositories.valkey.wakes import ArqWakeQueue


class Stores(Struct, frozen=True, kw_only=True):
    """
    The adapters that both the API and a worker use. They share one MongoDB client and one Valkey client.

    Attributes:
        database: The MongoDB database of `MONGO_URL`.
        redis: The Valkey or Redis client of `REDIS_URL`.
        queue: The wake queue for the engine of `QUEUE_ENGINE`.
        results: The result store of `RESULTS_URL`; it keeps no connection open.
    """

    database: Database
    redis: ArqRedis
    tasks: MongoTaskRepository
    control: MongoControlStore
    audit: MongoAuditLog
    queue: ArqWakeQueue
    results: ObjectResultStore
    gates: RedisGates
    quotas: RedisQuotas
    announcements: RedisAnnouncements

    async def prepare(self) -> None:
        """
        Create the indexes that are missing in MongoDB. Any number of processes may do so at once, and again.

        Raises:
            StoreUnavailable: MongoDB is unavailable.
        """
        await self.tasks.prepare()
        await self.control.prepare()
        await self.audit.prepare()

    async def aclose(self) -> None:
        """
        Write the audit rows that still wait, then close the Valkey client, then the MongoDB client.

        A failed step does not stop the others; its exception is raised at the end. End whatever still uses an adapter
        first.
        """
        async with AsyncExitStack() as closing:  # runs them in reverse
            closing.push_async_callback(self.tasks.aclose)
            closing.push_async_callback(self.redis.aclose)
            closing.push_async_callback(self.audit.aclose)


class ApiStores(Stores, frozen=True, kw_only=True):
    """The adapters of an API process."""

    keys: MongoKeys
    users: MongoUsers
    used_signatures: MongoUsedSignatures
    rates: RedisRates

    async def prepare(self) -> None:
        """As `Stores.prepare`, with the collections of API keys, users and used signatures."""
        await Stores.prepare(self)
        await self.keys.prepare()
        await self.users.prepare()
        await self.used_signatures.prepare()


class WorkerStores(Stores, frozen=True, kw_only=True):
    """The adapters of a worker process."""

    locks: MongoLocks


def api_stores(settings: Settings, *, clock: Clock = utc_now) -> ApiStores:
    """
    The adapters of an API process. They connect on first use; close them with `aclose()`.

    Raises:
        ConfigurationError: `MONGO_URL`, `REDIS_URL` or `RESULTS_URL` cannot be used. Nothing is left open.
    """
    shared = _shared(settings, clock)
    return ApiStores(
        **asdict(shared),
        keys=MongoKeys(shared.database),
        users=MongoUsers(shared.database),
        used_signatures=MongoUsedSignatures(shared.database),
        rates=RedisRates(shared.redis, clock=clock),
    )


def worker_stores(settings: Settings, *, clock: Clock = utc_now) -> WorkerStores:
    """As `api_stores`, for a worker process."""
    shared = _shared(settings, clock)
    return WorkerStores(**asdict(shared), locks=MongoLocks(shared.database, clock=clock))


def _shared(settings: Settings, clock: Clock) -> Stores:
    """The MongoDB client is opened last: it is the only one that would have to be closed after another's failure."""
    results = connect_results(settings.results_url)
    redis = connect_queue(settings.redis_url)
    database = connect_mongo(settings.mongo_url)
    return Stores(
        database=database,
        redis=redis,
        tasks=MongoTaskRepository(database),
        control=MongoControlStore(database),
        audit=MongoAuditLog(database, kept=timedelta(days=settings.audit_keep_days)),
        queue=wake_queue(redis, settings.queue_engine),
        results=results,
        gates=RedisGates(redis, clock=clock),
        quotas=RedisQuotas(redis, clock=clock),
        announcements=RedisAnnouncements(redis),
    )
