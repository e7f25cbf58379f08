"""Link copies: the vendor's links are fetched into the result store."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from core.attempts import Attempt
from core.task_states import State
from core.tasks import Result, Task
from polyrelay import TaskType
from services.execution.link_copies import CopyFailed, LinkCopies, LinkGone
from services.runtime.public_transport import PublicTransport, Trusted
from tests.fakes.result_store import MemoryResultStore
from tests.unit.services.execution_fixture import START

LINK = "https://vendor.test/out"


def task_of(*results: Result) -> Task:
    """A task with one attempt and those results."""
    return Task(
        id="task_1",
        type=TaskType.IMAGE,
        state=State.STORING,
        provider="studio",
        model="pen-1",
        user_id="u1",
        created=START,
        updated=START,
        deadline=START,
        attempts=(Attempt(number=2, provider="studio", model="pen-1", started=START),),
        results=results,
    )


def copies_of(answer: Any = None, store: MemoryResultStore | None = None, **options: Any) -> LinkCopies:
    """Copies of links that get that response."""
    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer), follow_redirects=True)
    return LinkCopies(store=store or MemoryResultStore(), http=http, **options)


@pytest.mark.parametrize("hostile", ["../../etc/passwd", "image/../../x", "", "image/png; charset=x", "x" * 500])
async def test_a_vendors_media_type_cannot_choose_a_path(hostile: str) -> None:
    """Whatever a vendor claims as media type, the file stays in the task's folder."""
    store = MemoryResultStore()
    answer = httpx.Response(200, headers={"content-type": hostile}, content=b"x")

    copied = await copies_of(answer, store).copy(task_of(Result(type=TaskType.IMAGE, url=LINK)))

    assert copied[0].file is not None
    assert copied[0].file.startswith("task_1/2/0.")
    assert ".." not in copied[0].file


@pytest.mark.parametrize(
    ("said", "url", "kept"),
    [
        ("image/webp", LINK, "image/webp"),
        ("IMAGE/PNG; q=1", LINK, "image/png"),
        ("application/octet-stream", f"{LINK}.png", "image/png"),
        ("", LINK, "image/jpeg"),
    ],
)
async def test_the_media_type_is_the_most_certain_one(said: str, url: str, kept: str) -> None:
    """The response's media type counts unless it is vague; then the link's suffix; then the default of the type."""
    answer = httpx.Response(200, headers={"content-type": said}, content=b"x")

    copied = await copies_of(answer).copy(task_of(Result(type=TaskType.IMAGE, url=url)))

    assert copied[0].media_type == kept


async def test_texts_and_stored_files_are_not_fetched_again() -> None:
    """A copy skips texts and results that are stored already."""
    kept = (Result(type=TaskType.TEXT, text="t"), Result(type=TaskType.IMAGE, url=LINK, file="task_1/1/0.png"))

    assert await copies_of().copy(task_of(*kept)) == kept


async def test_a_result_that_is_too_large_is_not_kept() -> None:
    """Reading a file above the limit is stopped, and nothing of it stays in the store."""
    store = MemoryResultStore()
    read = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            read.append(1)
            yield b"x" * 100

    results = copies_of(httpx.Response(200, content=endless()), store, max_bytes=1000)

    with pytest.raises(CopyFailed, match="larger than 1000"):
        await results.copy(task_of(Result(type=TaskType.VIDEO, url=LINK)))

    assert (store.files, len(read) < 15) == ({}, True)


async def test_a_file_that_is_cut_short_is_not_kept() -> None:
    """A connection that breaks within the file is a failed copy, and nothing stays in the store."""
    store = MemoryResultStore()

    async def cut() -> AsyncIterator[bytes]:
        yield b"x"
        raise httpx.ReadError("reset")

    with pytest.raises(CopyFailed):
        await copies_of(httpx.Response(200, content=cut()), store).copy(task_of(Result(type=TaskType.VIDEO, url=LINK)))

    assert store.files == {}


@pytest.mark.parametrize(
    "url", ["", "no address", "ftp://host/x", "http://[::1", "https://exa mple/x", "http://" + "a" * 70000]
)
async def test_an_invalid_link_is_a_failed_copy(url: str) -> None:
    """A link that is no valid URL is a failed copy; it never breaks the step."""
    results = LinkCopies(store=MemoryResultStore(), http=httpx.AsyncClient(follow_redirects=True))

    with pytest.raises((CopyFailed, LinkGone)):
        await results.copy(task_of(Result(type=TaskType.IMAGE, url=url)))


async def test_messages_do_not_hold_the_link() -> None:
    """A signed link is a secret: failures do not contain it."""
    signed = f"{LINK}?X-Signature=topsecret"
    for status in (403, 503):
        with pytest.raises((CopyFailed, LinkGone)) as caught:
            await copies_of(httpx.Response(status)).copy(task_of(Result(type=TaskType.IMAGE, url=signed)))
        assert "topsecret" not in str(caught.value)


async def test_a_link_to_a_private_address_is_not_copied_and_the_address_not_shown() -> None:
    """The address is logged; the task says only that the link is not followed."""
    store = MemoryResultStore()
    http = httpx.AsyncClient(transport=PublicTransport(Trusted()))
    results = LinkCopies(store=store, http=http)

    with pytest.raises(CopyFailed) as caught:
        await results.copy(task_of(Result(type=TaskType.IMAGE, url="http://127.0.0.1:6379/")))

    assert "127.0.0.1" not in str(caught.value)
    assert store.files == {}
