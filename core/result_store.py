"""Port of the result store: files of results, such as images and videos."""

from collections.abc import AsyncIterator
from typing import Protocol

from msgspec import Struct


class StoredFile(Struct, frozen=True, kw_only=True):
    """A file of the result store that is being read: its size, and its bytes in chunks."""

    size_bytes: int
    chunks: AsyncIterator[bytes]


class ResultStore(Protocol):
    """Result files, named like "task_…/1/0.png". Every method raises `StoreUnavailable` if the store is unavailable."""

    async def put(self, name: str, data: bytes) -> None:
        """Store a whole file; an existing one of that name is replaced."""

    async def put_stream(self, name: str, chunks: AsyncIterator[bytes]) -> int:
        """Store a file chunk by chunk and return its size in bytes. If `chunks` raises, nothing is stored."""

    async def open(self, name: str) -> StoredFile:
        """
        Read a file.

        Raises:
            FileNotFound: There is none of that name.
        """

    async def delete_all(self, prefix: str) -> None:
        """Delete every file whose name starts with `prefix` and a slash."""

    async def ping(self) -> None:
        """Check that the store can be read."""
