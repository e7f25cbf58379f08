"""Port of the result store: files of results."""

from collections.abc import AsyncIterator
from typing import Protocol

from msgspec import Struct


class StoredFile(Struct, frozen=True, kw_only=True):
    """A file of the result store that is being read: its size and its bytes in pieces."""

    size_bytes: int
    chunks: AsyncIterator[bytes]


class ResultStore(Protocol):
    """Files of results. Names are like "task_…/1/0.png". Every method raises `StoreUnavailable`."""

    async def put(self, name: str, data: bytes) -> None:
        """Store a whole file; an existing one of that name is replaced."""

    async def put_stream(self, name: str, chunks: AsyncIterator[bytes]) -> int:
        """Store a file piece by piece and answer its size in bytes; nothing is kept if the pieces fail."""

    async def open(self, name: str) -> StoredFile:
        """
        Read a file.

        Raises:
            FileNotFound: There is none of that name.
        """

    async def delete_all(self, prefix: str) -> None:
        """Remove every file whose name starts with `prefix` and a slash."""

    async def ping(self) -> None:
        """Answer if the store can be read."""
