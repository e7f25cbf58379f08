"""Stored bytes, copied links, and failures of both."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from core.retries import MAX_COPIES
from core.task_states import State
from polyrelay import Done, ImageOutput, TextOutput, VideoOutput
from tests.unit.services.execution_fixture import LEASE_S, START, ExecutionFixture, ScriptedService, pending

LINK = "https://vendor.test/cat.png"
LINKED = Done(outputs=(ImageOutput(url=LINK, lifetime_s=3600.0),))
PNG = {"content-type": "image/png"}


def answers(*responses: httpx.Response | Exception) -> Callable[[], httpx.Response]:
    """Plays responses; the last one is repeated."""
    left = list(responses)

    def answer() -> httpx.Response:
        response = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(response, Exception):
            raise response
        return httpx.Response(response.status_code, headers=response.headers, content=response.content)

    return answer


async def test_bytes_are_stored_before_the_task_completes() -> None:
    """An output of bytes is in the result store, and the task names its file and size."""
    execution_fixture = ExecutionFixture(
        ScriptedService(submit=[Done(outputs=(ImageOutput(data=b"png", media_type="image/png"),))])
    )
    task_id = await execution_fixture.new_task()

    await execution_fixture.play_due()

    task = await execution_fixture.task(task_id)
    result = task.results[0]
    assert (task.state, result.size_bytes, result.url) == (State.COMPLETED, 3, None)
    assert execution_fixture.store.files == {result.file: b"png"}


async def test_bytes_wait_for_the_result_store() -> None:
    """Paid bytes are kept in memory until the result store accepts them; there is one submit."""

    answered = asyncio.Event()

    async def done() -> Done:
        execution_fixture.store.reachable = False
        answered.set()
        return Done(outputs=(ImageOutput(data=b"png"),))

    service = ScriptedService(submit=[done])
    execution_fixture = ExecutionFixture(service)
    task_id = await execution_fixture.new_task()
    step = asyncio.create_task(execution_fixture.step(task_id))
    await answered.wait()
    execution_fixture.store.reachable = True

    await step

    assert (await execution_fixture.task(task_id)).state is State.COMPLETED
    assert len(service.submits) == 1


async def test_links_are_copied() -> None:
    """A vendor's link is copied into the store; the link and its expiry stay with the task."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[pending()], poll=[LINKED]))
    execution_fixture.links[LINK] = answers(httpx.Response(200, headers=PNG, content=b"picture"))
    task_id = await execution_fixture.new_task()

    await execution_fixture.play()

    task = await execution_fixture.task(task_id)
    result = task.results[0]
    assert (task.state, result.size_bytes, result.media_type) == (State.COMPLETED, 7, "image/png")
    assert (result.url, (result.url_expires or START) > START) == (LINK, True)
    assert execution_fixture.store.files == {result.file: b"picture"}


async def test_links_are_stored_before_they_are_copied() -> None:
    """The vendor's links are saved with the state `storing` first, so a crash does not lose them."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[LINKED]))
    seen: list[Any] = []

    def look() -> httpx.Response:
        seen.extend(execution_fixture.tasks.saves[-1:])
        return httpx.Response(200, headers=PNG, content=b"x")

    execution_fixture.links[LINK] = look
    await execution_fixture.new_task()

    await execution_fixture.play_due()

    assert (seen[0].state, seen[0].results[0].url) == (State.STORING, LINK)


async def test_links_are_handed_out_where_copies_are_off() -> None:
    """With `RESULTS=link` nothing is fetched, and the task completes with the vendor's link."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[LINKED]), copies=False)
    task_id = await execution_fixture.new_task()

    await execution_fixture.play_due()

    task = await execution_fixture.task(task_id)
    assert (task.state, task.results[0].url, task.results[0].file) == (State.COMPLETED, LINK, None)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_refused_link_is_a_lost_result(status: int) -> None:
    """A link that the vendor refuses fails the task as `result_lost`, and never submits again."""
    service = ScriptedService(submit=[LINKED])
    execution_fixture = ExecutionFixture(service)
    execution_fixture.links[LINK] = answers(httpx.Response(status))
    task_id = await execution_fixture.new_task()

    await execution_fixture.play()

    task = await execution_fixture.task(task_id)
    assert (task.state, task.failure and task.failure.code) == (State.FAILED, "result_lost")
    assert len(service.submits) == 1


@pytest.mark.parametrize(
    "trouble",
    [httpx.Response(503), httpx.Response(429), httpx.ConnectError("away"), httpx.ReadTimeout("slow")],
    ids=["503", "429", "connect", "timeout"],
)
async def test_copying_is_tried_again(trouble: httpx.Response | Exception) -> None:
    """After a temporary error the copy is postponed without a lease, and a later copy completes the task."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[LINKED]))
    execution_fixture.links[LINK] = answers(trouble, trouble, httpx.Response(200, headers=PNG, content=b"x"))
    task_id = await execution_fixture.new_task()

    await execution_fixture.play_due()
    postponed = await execution_fixture.task(task_id)
    assert (postponed.state, postponed.lease, postponed.attempt.copy_failures) == (State.STORING, None, 1)

    await execution_fixture.play()
    task = await execution_fixture.task(task_id)
    assert (task.state, task.attempt.copy_failures) == (State.COMPLETED, 2)
    assert task.results[0].file is not None


async def test_after_the_last_failed_copy_the_link_is_the_result() -> None:
    """After the last failed copy the task completes with the vendor's link: it was paid for and may still work."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[LINKED]))
    asked = []

    def refuse() -> httpx.Response:
        asked.append(1)
        return httpx.Response(503)

    execution_fixture.links[LINK] = refuse
    task_id = await execution_fixture.new_task()

    await execution_fixture.play()

    task = await execution_fixture.task(task_id)
    assert (task.state, task.results[0].url, task.results[0].file) == (State.COMPLETED, LINK, None)
    assert len(asked) == MAX_COPIES


async def test_a_copy_without_the_result_store_is_postponed() -> None:
    """If the result store is unavailable the copy is postponed, as for a link that does not respond."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[LINKED]))
    execution_fixture.links[LINK] = answers(httpx.Response(200, headers=PNG, content=b"x"))
    execution_fixture.store.reachable = False
    task_id = await execution_fixture.new_task()
    await execution_fixture.play_due()
    assert (await execution_fixture.task(task_id)).state is State.STORING

    execution_fixture.store.reachable = True
    await execution_fixture.play()

    assert (await execution_fixture.task(task_id)).results[0].file is not None


async def test_a_crashed_workers_copy_is_taken_over() -> None:
    """If a worker crashes during a copy, another one copies when the lease has expired; nothing is submitted."""
    service = ScriptedService(submit=[LINKED])
    execution_fixture = ExecutionFixture(service)
    task_id = await storing_of_a_crashed_worker(execution_fixture)

    await execution_fixture.worker()(task_id)
    assert (await execution_fixture.task(task_id)).state is State.STORING

    execution_fixture.later(LEASE_S + 6.0)
    await execution_fixture.reconciler.renew()
    await execution_fixture.reconciler.reconcile()
    await execution_fixture.play()

    task = await execution_fixture.task(task_id)
    assert (task.state, task.results[0].file is not None) == (State.COMPLETED, True)
    assert len(service.submits) == 1


async def test_copies_that_crash_their_worker_are_limited() -> None:
    """Each copy that broke off counts as failed, so a result that crashes workers ends as the vendor's link."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[LINKED]))

    def die() -> httpx.Response:
        raise asyncio.CancelledError

    execution_fixture.links[LINK] = die
    task_id = await execution_fixture.new_task()
    with pytest.raises(asyncio.CancelledError):
        await execution_fixture.step(task_id)

    for _ in range(2 * MAX_COPIES):
        execution_fixture.later(LEASE_S + 60.0)
        await asyncio.gather(execution_fixture.step(task_id), return_exceptions=True)

    task = await execution_fixture.task(task_id)
    assert (task.state, task.results[0].url) == (State.COMPLETED, LINK)


async def test_several_outputs_are_copied_in_their_order() -> None:
    """Texts, bytes and links of one task become results in the vendor's order."""
    outputs = (TextOutput(text="a"), ImageOutput(data=b"b"), VideoOutput(url=LINK))
    execution_fixture = ExecutionFixture(ScriptedService(submit=[Done(outputs=outputs)]))
    execution_fixture.links[LINK] = answers(httpx.Response(200, headers={"content-type": "video/mp4"}, content=b"c"))
    task_id = await execution_fixture.new_task()

    await execution_fixture.play()

    task = await execution_fixture.task(task_id)
    assert [result.type for result in task.results] == ["text", "image", "video"]
    assert [execution_fixture.store.files.get(result.file or "") for result in task.results] == [None, b"b", b"c"]


async def test_a_claim_of_a_copy_with_a_lost_response_is_used() -> None:
    """A lost response to the claim or the save of a copy neither repeats the submit nor leaves the task open."""
    service = ScriptedService(submit=[LINKED])
    execution_fixture = ExecutionFixture(service)
    execution_fixture.links[LINK] = answers(httpx.Response(200, headers=PNG, content=b"x"))
    execution_fixture.tasks.faults = [None, "unanswered", "unanswered"]
    task_id = await execution_fixture.new_task()

    await execution_fixture.play_due()

    assert (await execution_fixture.task(task_id)).state is State.COMPLETED
    assert len(service.submits) == 1


async def storing_of_a_crashed_worker(execution_fixture: ExecutionFixture) -> str:
    """A task whose worker crashed during its first copy."""
    replies: Iterator[Any] = iter([asyncio.CancelledError(), httpx.Response(200, headers=PNG, content=b"x")])

    def reply() -> httpx.Response:
        value = next(replies)
        if isinstance(value, BaseException):
            raise value
        return httpx.Response(200, headers=PNG, content=b"x")

    execution_fixture.links[LINK] = reply
    task_id = await execution_fixture.new_task()
    with pytest.raises(asyncio.CancelledError):
        await execution_fixture.step(task_id)
    execution_fixture.queue.take_due(execution_fixture.now)
    return task_id
