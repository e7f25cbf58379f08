"""Outputs: what a vendor made becomes results, and links are copied where copies are on."""

from datetime import timedelta
from typing import Any

import pytest

from core.errors import StoreUnavailable
from core.retries import RetryPolicy
from core.tasks import Result
from polyrelay import Done, ImageOutput, TaskType, VideoOutput
from services.execution.result_copies import ResultCopier
from tests.fakes.result_store import MemoryResultStore
from tests.unit.services.execution.test_link_copies import LINK, copies_of, task_of
from tests.unit.services.execution_fixture import START


def copier(store: MemoryResultStore | None = None) -> ResultCopier:
    """One that only takes outputs: nothing is saved."""
    store = store or MemoryResultStore()
    unused: Any = None
    retries = RetryPolicy(clock=lambda: START, random_source=lambda: 0.5)
    return ResultCopier(
        recorder=unused, store=store, links=copies_of(store=store), copies=True, retries=retries, leases=unused
    )


async def test_a_link_keeps_its_expiry() -> None:
    """A link's lifetime is counted from now; without one there is no expiry."""
    done = Done(outputs=(ImageOutput(url=LINK, lifetime_s=60.0), VideoOutput(url=LINK)))

    taken = await copier().take(task_of(), done)

    assert [result.url_expires for result in taken] == [START + timedelta(seconds=60), None]
    assert [result.type for result in taken] == ["image", "video"]


async def test_files_are_named_after_task_attempt_and_place() -> None:
    """Outputs of different attempts never have the same name, and the suffix names the format."""
    store = MemoryResultStore()
    done = Done(outputs=(ImageOutput(data=b"a", media_type="image/webp"), VideoOutput(data=b"b")))

    taken = await copier(store).take(task_of(), done)

    assert [result.file for result in taken] == ["task_1/2/0.webp", "task_1/2/1.mp4"]


async def test_an_unavailable_store_raises() -> None:
    """If bytes cannot be stored an error is raised, so the caller keeps them."""
    store = MemoryResultStore()
    store.reachable = False

    with pytest.raises(StoreUnavailable):
        await copier(store).take(task_of(), Done(outputs=(ImageOutput(data=b"x"),)))


@pytest.mark.parametrize(
    ("result", "is_link"),
    [
        (Result(type=TaskType.IMAGE, url=LINK), True),
        (Result(type=TaskType.TEXT, text="t"), False),
        (Result(type=TaskType.IMAGE, url=LINK, file="f"), False),
    ],
)
def test_only_a_result_without_a_file_of_ours_is_a_link(result: Result, is_link: bool) -> None:
    """A text, and what is stored already, need not be copied."""
    assert result.is_link is is_link
