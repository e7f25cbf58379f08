"""Downloading stored files."""

from collections.abc import AsyncIterator

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from api.problems import RangeNotSatisfiable
from api.routes.files import Span, cut, wanted_span
from core.task_states import State
from core.tasks import Result, Task
from polyrelay import TaskType
from tests.unit.api.api_fixture import ApiFixture, a_task, completed

Client = AsyncTestClient[Litestar]

DATA = bytes(range(256)) * 8


async def picture(api: ApiFixture, *, media_type: str | None = "image/png", data: bytes = DATA) -> Task:
    """A completed task with one stored file."""
    task = a_task()
    name = f"{task.id}/1/0.png"
    await api.results.put(name, data)
    result = Result(type=TaskType.IMAGE, file=name, media_type=media_type, size_bytes=len(data))
    return await api.stored(completed(result, id=task.id))


def url(task: Task, index: object = 0) -> str:
    """Where a file of the task is."""
    return f"/api/v1/ai/task/result/{task.id}/files/{index}"


async def test_the_link_of_a_result_leads_to_its_file(client: Client, api: ApiFixture) -> None:
    """The file comes with its type, length and a name to save it under."""
    task = await picture(api)
    link = (await client.get(f"/api/v1/ai/task/result/{task.id}")).json()["data"]["image_url"]

    response = await client.get(link)

    assert (response.status_code, response.content) == (200, DATA)
    assert response.headers["content-type"] == "image/png"
    assert response.headers["content-length"] == str(len(DATA))
    assert response.headers["content-disposition"] == f'inline; filename="{task.id}-0.png"'


async def test_a_file_is_not_sent_again(client: Client, api: ApiFixture) -> None:
    """A caller that has the file, by its ETag, gets 304 without it."""
    task = await picture(api)
    etag = (await client.get(url(task))).headers["etag"]

    response = await client.get(url(task), headers={"If-None-Match": etag})

    assert (response.status_code, response.content) == (304, b"")


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [("bytes=0-0", 0, 0), ("bytes=100-", 100, 2047), ("bytes=-5", 2043, 2047), ("bytes=10-99999", 10, 2047)],
)
async def test_a_range_is_cut_out(client: Client, api: ApiFixture, header: str, first: int, last: int) -> None:
    """A range of bytes, as players ask for, is a 206 with exactly those bytes."""
    response = await client.get(url(await picture(api)), headers={"Range": header})

    assert response.status_code == 206
    assert response.content == DATA[first : last + 1]
    assert response.headers["content-range"] == f"bytes {first}-{last}/2048"
    assert response.headers["content-length"] == str(last + 1 - first)


async def test_a_range_outside_of_the_file_is_refused(client: Client, api: ApiFixture) -> None:
    """A range that starts after the end is a 416 in the envelope."""
    response = await client.get(url(await picture(api)), headers={"Range": "bytes=2048-"})

    assert (response.status_code, response.json()["error"]["code"]) == (416, "range_not_satisfiable")


@pytest.mark.parametrize("header", [None, "", "bytes=-", "bytes=a-b", "items=0-1", "bytes=0-1,3-4"])
def test_what_is_no_single_range_means_the_whole_file(header: str | None) -> None:
    """A header that is not understood is ignored, as HTTP wants it."""
    assert wanted_span(header, 10) is None


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=5-4", "bytes=-0"])
def test_an_empty_range_cannot_be_satisfied(header: str) -> None:
    """A range without a byte in it is refused."""
    with pytest.raises(RangeNotSatisfiable):
        wanted_span(header, 10)


@pytest.mark.parametrize("size", [1, 3, 7, 100])
async def test_a_cut_does_not_depend_on_the_pieces(size: int) -> None:
    """However the file arrives in pieces, the same bytes are cut out."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(DATA), size):
            yield DATA[start : start + size]

    for first, last in [(0, 0), (0, 2047), (5, 300), (2047, 2047)]:
        assert b"".join([piece async for piece in cut(pieces(), Span(first, last))]) == DATA[first : last + 1]


@pytest.mark.parametrize("media_type", [None, "text/html", "image/svg+xml"])
async def test_what_a_browser_might_run_is_only_handed_out(
    client: Client, api: ApiFixture, media_type: str | None
) -> None:
    """A vendor's file that is no picture or video is a download without a type."""
    response = await client.get(url(await picture(api, media_type=media_type)))

    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-disposition"].startswith("attachment")
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_a_file_that_is_not_there_is_a_404(client: Client, api: ApiFixture) -> None:
    """The message distinguishes a wrong index, an open task, a text and a lost file."""
    good = await picture(api)
    text = await api.stored(completed(Result(type=TaskType.TEXT, text="a")))
    lost = await api.stored(completed(Result(type=TaskType.IMAGE, file="x/1/0.png")))
    storing = await api.stored(a_task(state=State.STORING))
    for path in (url(good, 1), url(text), url(lost), url(storing), url(a_task())):
        response = await client.get(path)
        assert (response.status_code, response.json()["success"]) == (404, False), path
    for path in (url(good, -1), url(good, "a")):
        assert (await client.get(path)).status_code == 404
