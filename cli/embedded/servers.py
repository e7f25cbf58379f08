"""Embedded MongoDB and Valkey: real servers on loopback, with their data in a given folder."""

from collections.abc import Sequence
from pathlib import Path

from cli.embedded.binaries import mongod_binary, valkey_binary
from cli.embedded.ports import LOOPBACK, accepts_connections, answers_ping
from cli.embedded.server_process import EmbeddedServer
from repositories.mongodb.client import initiate_replica_set


class MongoServer(EmbeddedServer):
    """
    MongoDB as a one-node replica set, with a journal.

    Args:
        cache_gb: Size of WiredTiger's cache, in GB; its minimum is 0.25.
    """

    name = "MongoDB"

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        database: str = "polyrelay",
        cache_gb: float = 0.25,
        start_timeout_s: float = 60.0,
    ) -> None:
        super().__init__(data_dir, port=port, start_timeout_s=start_timeout_s)
        self._database = database
        self._cache_gb = cache_gb

    @property
    def url(self) -> str:
        """URL for clients, with the name of the database."""
        return self.url_of(self._database)

    def url_of(self, database: str) -> str:
        """The URL of another database on this server."""
        return f"mongodb://{LOOPBACK}:{self.port}/{database}?directConnection=true"

    async def start(self) -> None:
        """Start the server as `EmbeddedServer.start` does, and wait until the replica set has a primary."""
        was_running = self.running
        await super().start()
        if was_running:
            return
        try:
            await initiate_replica_set(self.url, timeout_s=self._start_timeout_s)
        except BaseException:
            await self.kill()
            raise

    def _command(self) -> Sequence[str]:
        return (
            str(mongod_binary()),
            *("--dbpath", str(self.data_dir), "--bind_ip", LOOPBACK, "--port", str(self.port)),
            *("--replSet", "rs0", "--oplogSize", "128", "--wiredTigerCacheSizeGB", str(self._cache_gb)),
            *("--nounixsocket", "--quiet"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"),
        )

    async def _answers(self) -> bool:
        return await accepts_connections(self.port)


class ValkeyServer(EmbeddedServer):
    """Valkey with an append-only file, so that wakes survive a restart. It uses the Redis protocol."""

    name = "Valkey"

    @property
    def url(self) -> str:
        """URL for clients."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    def _command(self) -> Sequence[str]:
        return (
            str(valkey_binary()),
            *("--dir", str(self.data_dir), "--bind", LOOPBACK, "--port", str(self.port)),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            *("--daemonize", "no"),
        )

    async def _answers(self) -> bool:
        return await answers_ping(self.port)
