"""In-memory result store."""

from collections.abc import AsyncIterator

from core.errors import (
    FileNotFound,
    StoreUnavailable,
)
from core.result_store import StoredFile
from repositories.result_names import checked


class MemoryResultStore:
    """
    Files in a dictionary.

    Attributes:
        files: Their bytes by name.
        reachable: Set it to False, and every call raises `StoreUnavailable`.
    """

    def __init__(self) -> None:
        self.reachable = True
        self.files: dict[str, bytes] = {}

    async def put(self, name: str, data: bytes) -> None:
        """As `ResultStore.put`."""
        self._check()
        self.files[checked(name)] = bytes(data)

    async def put_stream(self, name: str, chunks: AsyncIterator[bytes]) -> int:
        """As `ResultStore.put_stream`."""
        checked(name)
        data = b"".join([chunk async for chunk in chunks])
        await self.put(name, data)
        return len(data)

    async def open(self, name: str) -> StoredFile:
        """As `ResultStore.open`."""
        self._check()
        if name not in self.files:
            raise FileNotFound(f"there is no file {name!r}")
        data = self.files[name]
        return StoredFile(size_bytes=len(data), chunks=_pieces(data))

    async def delete_all(self, prefix: str) -> None:
        """As `ResultStore.delete_all`."""
        self._check()
        inside = f"{checked(prefix)}/"
        self.files = {name: data for name, data in self.files.items() if not name.startswith(inside)}

    async def ping(self) -> None:
        """As `ResultStore.ping`."""
        self._check()

    def _check(self) -> None:
        if not self.reachable:
            raise StoreUnavailable("the memory cannot be reached, as the test wanted it")


async def _pieces(data: bytes, size_bytes: int = 64 * 1024) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size_bytes):
        yield data[start : start + size_bytes]
