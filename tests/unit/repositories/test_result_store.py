"""`ObjectResultStore` in a folder and in obstore's memory: the contract, the folder, the URL."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from core.errors import ConfigurationError, StoreUnavailable
from repositories.result_store import ObjectResultStore, connect_results
from tests.contracts.result_store import MIB, ResultStoreContract, SourceFailed, pieces, read


class TestFolder(ResultStoreContract):
    """A folder keeps the contract."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectResultStore:
        """An empty one, in a folder that is made."""
        return connect_results(str(tmp_path / "made" / "results"))


class TestObjectStore(ResultStoreContract):
    """An object store keeps the contract: one without folders, as S3 has none."""

    @pytest.fixture
    def store(self) -> ObjectResultStore:
        """An empty one."""
        return ObjectResultStore(MemoryStore())


def files_below(folder: Path) -> set[str]:
    """All files of a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def folders_below(folder: Path) -> set[str]:
    """All folders of a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_dir()}


@pytest.mark.parametrize("form", ["{}", "file://{}"])
async def test_a_folder_may_be_a_path_or_a_url(tmp_path: Path, form: str) -> None:
    """Both name the same folder; a file lies there under its name."""
    folder = tmp_path / "a b"
    store = connect_results(form.format(str(folder).replace(" ", "%20") if "file" in form else folder))

    await store.put("task_1/1/0.png", b"x")

    assert files_below(folder) == {"task_1/1/0.png"}


async def test_a_broken_stream_leaves_no_file_of_any_name(tmp_path: Path) -> None:
    """Not even a part under a name of its own."""
    store = connect_results(str(tmp_path))

    with pytest.raises(SourceFailed):
        await store.put_stream("task_1/1/0.mp4", pieces(count=13, fails=True))

    assert files_below(tmp_path) == set()


async def test_a_cancelled_stream_leaves_no_file_of_any_name(tmp_path: Path) -> None:
    """A worker that stops during a copy leaves no partial file."""
    store = connect_results(str(tmp_path))
    under_way = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield b"x" * MIB
        under_way.set()
        await asyncio.Event().wait()

    copying = asyncio.create_task(store.put_stream("task_1/1/0.mp4", endless()))
    await under_way.wait()
    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying

    async with asyncio.timeout(10):
        while files_below(tmp_path):  # noqa: ASYNC110 - obstore removes its part in a thread of its own
            await asyncio.sleep(0.01)


async def test_deleting_all_leaves_no_empty_folder(tmp_path: Path) -> None:
    """Millions of tasks leave no millions of folders."""
    store = connect_results(str(tmp_path))
    await store.put("task_1/1/0.png", b"x")

    await store.delete_all("task_1")

    assert folders_below(tmp_path) == set()


async def test_an_os_error_of_the_source_is_not_the_stores(tmp_path: Path) -> None:
    """A download that fails with an `OSError` is distinguished from a disk that does."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise ConnectionResetError("by the vendor")

    with pytest.raises(ConnectionResetError, match="by the vendor"):
        await connect_results(str(tmp_path)).put_stream("task_1/1/0.mp4", broken())


async def test_a_folder_that_is_gone_is_store_unavailable(tmp_path: Path) -> None:
    """A ping notices it."""
    store = connect_results(str(tmp_path / "results"))
    (tmp_path / "results").rmdir()

    with pytest.raises(StoreUnavailable, match="results"):
        await store.ping()


async def test_a_file_in_the_way_is_store_unavailable(tmp_path: Path) -> None:
    """An error of the disk is raised with its reason in one line."""
    store = connect_results(str(tmp_path))
    await store.put("task_1", b"a file where a folder is needed")

    with pytest.raises(StoreUnavailable) as caught:
        await store.put("task_1/1/0.png", b"x")

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["memory:///", "http://127.0.0.1/x", "s3://", "nonsense://x"])
def test_an_unusable_url_is_a_configuration_error(url: str) -> None:
    """The text names the setting."""
    with pytest.raises(ConfigurationError, match="RESULTS_URL"):
        connect_results(url)


def test_a_folder_that_cannot_be_created_is_a_configuration_error(tmp_path: Path) -> None:
    """The text names the folder."""
    (tmp_path / "file").write_text("x")

    with pytest.raises(ConfigurationError, match="file"):
        connect_results(str(tmp_path / "file" / "results"))


async def test_an_unreachable_object_store_is_store_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from the usual variables; nothing of the credentials is in the text."""
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "hidden-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden-key")
    monkeypatch.setenv("AWS_REGION", "nowhere-1")
    store = connect_results("s3://bucket/prefix")

    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1") as caught:
        await store.put("a", b"x")

    assert "hidden" not in str(caught.value)


async def test_a_large_file_is_read_in_pieces(tmp_path: Path) -> None:
    """A video is never in memory completely: it is read in many small chunks."""
    store = connect_results(str(tmp_path))
    await store.put_stream("task_1/1/0.mp4", pieces(count=8))

    found = await store.open("task_1/1/0.mp4")
    sizes = [len(chunk) async for chunk in found.chunks]

    assert sum(sizes) == 8 * MIB == len(await read(store, "task_1/1/0.mp4"))
    assert max(sizes) <= MIB
