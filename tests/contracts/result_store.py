"""What every `ResultStore` does. A test class inherits this and gives the fixture `store`."""

from collections.abc import AsyncIterator

import pytest

from core.errors import FileNotFound
from core.result_store import ResultStore

MIB = 2**20
BAD_NAMES = ["", "/etc/passwd", "../x", "a/../../x", "a/./b", "a//b", "a/", ".", "..", "a\0b", "a\n", "ü", "a b", "%2e"]


class SourceFailed(Exception):
    """A download that broke off."""


async def pieces(*, count: int, fails: bool = False) -> AsyncIterator[bytes]:
    """That number of different chunks of one MiB, then the error, if there is one."""
    for number in range(count):
        yield bytes([number]) * MIB
    if fails:
        raise SourceFailed


async def read(store: ResultStore, name: str) -> bytes:
    """The bytes of the file; checks that their number is the stated size."""
    found = await store.open(name)
    data = b"".join([chunk async for chunk in found.chunks])
    assert found.size_bytes == len(data)
    return data


async def is_there(store: ResultStore, name: str) -> bool:
    """Whether there is a file of that name."""
    try:
        await store.open(name)
    except FileNotFound:
        return False
    return True


class ResultStoreContract:
    """The rules of `core.result_store.ResultStore`."""

    @pytest.mark.parametrize("data", [b"", b"\x89PNG", b"x" * (6 * MIB)], ids=["empty", "small", "large"])
    async def test_a_file_comes_back_as_it_was_put(self, store: ResultStore, data: bytes) -> None:
        """With its size and all its bytes."""
        await store.put("task_1/1/0.png", data)

        assert await read(store, "task_1/1/0.png") == data

    async def test_a_second_file_of_one_name_replaces_the_first(self, store: ResultStore) -> None:
        """The old bytes are deleted, also if the new file is shorter."""
        await store.put("task_1/1/0.png", b"the first one")
        await store.put("task_1/1/0.png", b"second")

        assert await read(store, "task_1/1/0.png") == b"second"

    @pytest.mark.parametrize("count", [0, 1, 13])
    async def test_pieces_become_one_file(self, store: ResultStore, count: int) -> None:
        """In order, and the answer is their size."""
        size_bytes = await store.put_stream("task_1/1/0.mp4", pieces(count=count))

        assert size_bytes == count * MIB
        assert await read(store, "task_1/1/0.mp4") == b"".join([piece async for piece in pieces(count=count)])

    @pytest.mark.parametrize("count", [0, 1, 13])
    async def test_nothing_is_kept_of_pieces_that_fail(self, store: ResultStore, count: int) -> None:
        """The source's error is raised as it is, and there is no file."""
        with pytest.raises(SourceFailed):
            await store.put_stream("task_1/1/0.mp4", pieces(count=count, fails=True))

        assert not await is_there(store, "task_1/1/0.mp4")

    async def test_pieces_that_fail_leave_the_file_that_was_there(self, store: ResultStore) -> None:
        """A replacement happens whole or not at all."""
        await store.put("task_1/1/0.mp4", b"good")

        with pytest.raises(SourceFailed):
            await store.put_stream("task_1/1/0.mp4", pieces(count=13, fails=True))

        assert await read(store, "task_1/1/0.mp4") == b"good"

    @pytest.mark.parametrize("name", ["task_1/1/0.png", "task_1", *BAD_NAMES])
    async def test_a_file_that_is_not_there_is_not_found(self, store: ResultStore, name: str) -> None:
        """A folder is not a file, nor is a name outside of the store."""
        await store.put("task_1/2/0.png", b"x")

        with pytest.raises(FileNotFound):
            await store.open(name)

    @pytest.mark.parametrize("name", BAD_NAMES)
    async def test_a_bad_name_is_refused(self, store: ResultStore, name: str) -> None:
        """Nothing is written outside of the store, or under a name that not every store can hold."""
        with pytest.raises(ValueError, match="not a name of a result file"):
            await store.put(name, b"x")
        with pytest.raises(ValueError, match="not a name of a result file"):
            await store.put_stream(name, pieces(count=1))
        with pytest.raises(ValueError, match="not a name of a result file"):
            await store.delete_all(name)

    async def test_deleting_takes_all_files_below_and_no_others(self, store: ResultStore) -> None:
        """Only what lies below the prefix, not what begins with the same letters."""
        gone = ["task_1/1/0.png", "task_1/1/1.png", "task_1/2/0.png"]
        kept = ["task_10/1/0.png", "task_2/1/0.png"]
        for name in gone + kept:
            await store.put(name, b"x")

        await store.delete_all("task_1")

        assert [await is_there(store, name) for name in gone] == [False] * 3
        assert [await is_there(store, name) for name in kept] == [True] * 2

    async def test_deleting_what_is_not_there_does_nothing(self, store: ResultStore) -> None:
        """Once or twice."""
        await store.delete_all("task_none")

    async def test_a_store_that_is_there_answers_a_ping(self, store: ResultStore) -> None:
        """No error means that it can be used, also while it is empty."""
        await store.ping()
