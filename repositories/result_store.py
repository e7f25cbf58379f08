"""Result store: files of results in a folder or an object store, on obstore."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from core.errors import ConfigurationError, FileNotFound, StoreUnavailable
from core.result_store import StoredFile
from polyrelay import Secret
from repositories.result_names import checked, usable

SCHEMES: Final = frozenset({"s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss"})
"""Object stores that API and workers can share; a folder has no scheme, or `file`."""

_PART_BYTES: Final = 5 * 1024 * 1024  # the smallest part that S3 takes
_PARTS_AT_ONCE: Final = 2
_READ_BYTES: Final = 256 * 1024
_TIMEOUT: Final = timedelta(seconds=60)
_CONNECT_TIMEOUT: Final = timedelta(seconds=5)


def connect_results(url: Secret | str) -> "ObjectResultStore":
    """
    The store at the path of a folder, `file:///folder`, `s3://bucket/prefix` and the like. Creates a missing folder.

    Credentials of an object store come from its usual environment variables, such as `AWS_ACCESS_KEY_ID`.

    Raises:
        ConfigurationError: The URL names no store, or the folder cannot be created.
    """
    text = url.reveal() if isinstance(url, Secret) else url
    scheme = urlsplit(text).scheme
    if scheme in {"", "file"}:
        return ObjectResultStore(_local(Path(unquote(urlsplit(text).path) if scheme else text)))
    if scheme not in SCHEMES:
        raise ConfigurationError(f"RESULTS_URL has the scheme {scheme!r}; expected a folder, file, s3, gs or az")
    try:
        store = from_url(
            text,
            client_options={"timeout": _TIMEOUT, "connect_timeout": _CONNECT_TIMEOUT},
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)},
        )
    except (BaseError, ValueError, TypeError) as error:
        raise ConfigurationError(f"RESULTS_URL is not usable: {_reason(error)}") from error
    return ObjectResultStore(store)


class ObjectResultStore:
    """Adapter of `ResultStore`. A file is stored completely or not at all, even if the process crashes."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, name: str, data: bytes) -> None:
        """As `ResultStore.put`."""
        with _store_errors():
            await obstore.put_async(self._store, checked(name), data)

    async def put_stream(self, name: str, chunks: AsyncIterator[bytes]) -> int:
        """As `ResultStore.put_stream`; an error of `chunks` itself is raised as it is."""
        counted = _CountedChunks(chunks)
        try:
            with _store_errors():
                await obstore.put_async(
                    self._store,
                    checked(name),
                    counted,
                    use_multipart=True,
                    chunk_size=_PART_BYTES,
                    max_concurrency=_PARTS_AT_ONCE,
                )
        except Exception:
            if counted.failure is not None:
                raise counted.failure from None
            raise
        return counted.size_bytes

    async def open(self, name: str) -> StoredFile:
        """As `ResultStore.open`; also raises `FileNotFound` for a name that no file can have."""
        if not usable(name):
            raise FileNotFound("there is no such file")
        try:
            with _store_errors():
                found = await obstore.get_async(self._store, name)
                size_bytes = int(found.meta["size"])
        except FileNotFoundError as error:
            raise FileNotFound(f"there is no file {name!r}") from error
        return StoredFile(size_bytes=size_bytes, chunks=_read(found))

    async def delete_all(self, prefix: str) -> None:
        """As `ResultStore.delete_all`."""
        with _store_errors():
            async for entries in obstore.list(self._store, prefix=checked(prefix)):
                names = [entry["path"] for entry in entries if entry["path"].startswith(f"{prefix}/")]
                with contextlib.suppress(FileNotFoundError):
                    await obstore.delete_async(self._store, names)

    async def ping(self) -> None:
        """As `ResultStore.ping`."""
        if isinstance(self._store, LocalStore):
            await asyncio.to_thread(_check_folder, Path(str(self._store.prefix)))
        with _store_errors(), contextlib.suppress(FileNotFoundError):
            await obstore.head_async(self._store, "ping")


class _CountedChunks:
    """Passes chunks on, counts their bytes, and keeps the exception of their source."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self.size_bytes = 0
        self.failure: Exception | None = None

    def __aiter__(self) -> "_CountedChunks":
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            raise
        except Exception as error:
            self.failure = error
            raise
        self.size_bytes += len(chunk)
        return chunk


async def _read(found: "obstore.GetResult") -> AsyncIterator[bytes]:
    with _store_errors():
        async for chunk in found.stream(min_chunk_size=_READ_BYTES):
            yield bytes(chunk)


def _local(folder: Path) -> LocalStore:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return LocalStore(folder.absolute(), automatic_cleanup=True)
    except (OSError, BaseError) as error:
        raise ConfigurationError(f"RESULTS_URL names a folder that cannot be used: {_reason(error)}") from error


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise StoreUnavailable(f"the folder of results does not exist: {folder}")


@contextlib.contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        raise StoreUnavailable(f"the result store is unavailable: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    # obstore adds debug text after the first line
    return (str(error) or type(error).__name__).splitlines()[0]
