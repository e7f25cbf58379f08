"""In-memory adapter of `ResultStore`."""

from collections.abc import AsyncIterator

from core.errors import (
    FileNotFound,
    StoreUnavailable,
)
from core.result_store import StoredFile
from repositories.result_names import checked


class MemoryResultStore:
    """
    Adapter of `ResultStore` for tests.

    Attributes:
        files: The bytes of the files by name.
        reachable: While it is False, every call raises `StoreUnavailable`.
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
            raise StoreUnavailable("the in-memory result store was made unreachable by the test")


async def _pieces(data: bytes, size_bytes: int = 64 * 1024) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size_bytes):
        yield data[start : start + size_bytes]
