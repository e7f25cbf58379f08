"""`GroupCommit`: which callers share a write, and which outcome each of them gets."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from repositories.group_commit import GroupCommit
from tests.contracts.task_repository import outcome_of

REQUEST: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="")


class Refused(Exception):
    """The error of one item, or of all."""


class Writer:
    """
    Writes on command.

    Attributes:
        batches: What was asked to be written together, in order.
        gate: Clear it, and writes wait until it is set.
        broken: What the next write raises.
    """

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken: Exception | None = None
        self.request = ""
        self._changed = asyncio.Condition()

    async def write(self, items: Sequence[str]) -> Sequence[str | Exception]:
        """Items with a capital are refused; the result of the others is their capital."""
        async with self._changed:
            self.batches.append(list(items))
            self._changed.notify_all()
        self.request = REQUEST.get()
        await self.gate.wait()
        if self.broken is not None:
            broken, self.broken = self.broken, None
            raise broken
        return [Refused(item) if item.isupper() else item.upper() for item in items]

    async def begun(self, batches: int) -> None:
        """Wait until that number of writes has begun."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(lambda: len(self.batches) >= batches)


@pytest.fixture
def writer() -> Writer:
    """One that writes at once."""
    return Writer()


@pytest.fixture
def commit(writer: Writer) -> GroupCommit[str, str]:
    """Up to three items, up to ten bytes."""
    return GroupCommit(writer.write, most=3, most_bytes=10)


@asynccontextmanager
async def held(writer: Writer, commit: GroupCommit[str, str]) -> AsyncIterator[None]:
    """While a write of "first" is under way."""
    writer.gate.clear()
    first = asyncio.create_task(commit("first"))
    await writer.begun(1)
    try:
        yield
    finally:
        writer.gate.set()
        await first


async def test_a_single_item_is_written_at_once(writer: Writer, commit: GroupCommit[str, str]) -> None:
    """Items one after the other are not delayed; each is a write of its own."""
    assert [await commit("a"), await commit("b")] == ["A", "B"]
    assert writer.batches == [["a"], ["b"]]


async def test_callers_of_the_same_moment_share_a_write(writer: Writer, commit: GroupCommit[str, str]) -> None:
    """And each gets its own result."""
    assert await asyncio.gather(*map(commit, "abc")) == ["A", "B", "C"]
    assert writer.batches == [["a", "b", "c"]]


async def test_callers_who_come_during_a_write_share_the_next_one(
    writer: Writer, commit: GroupCommit[str, str]
) -> None:
    """There is one write at a time."""
    async with held(writer, commit):
        later = []
        for item in "ab":
            later.append(asyncio.create_task(commit(item)))
            await asyncio.sleep(0)
        assert len(writer.batches) == 1

    assert await asyncio.gather(*later) == ["A", "B"]
    assert writer.batches == [["first"], ["a", "b"]]


async def test_several_writes_may_be_under_way(writer: Writer) -> None:
    """An item during the first write begins the second; items during both share the third."""
    commit = GroupCommit(writer.write, most=3, at_once=2)
    async with held(writer, commit):
        later = []
        for item in "abc":
            later.append(asyncio.create_task(commit(item)))
            await writer.begun(2)
        assert writer.batches == [["first"], ["a"]]

    assert await asyncio.gather(*later) == ["A", "B", "C"]
    assert writer.batches == [["first"], ["a"], ["b", "c"]]


async def test_a_write_has_a_maximum_number_of_items(writer: Writer, commit: GroupCommit[str, str]) -> None:
    """The rest is in the next writes, in order."""
    await asyncio.gather(*map(commit, "abcdefgh"))

    assert writer.batches == [list("abc"), list("def"), list("gh")]


async def test_a_write_has_a_maximum_number_of_bytes(writer: Writer, commit: GroupCommit[str, str]) -> None:
    """A larger item is written alone."""
    sizes = {"a": 6, "b": 4, "c": 1, "d": 99, "e": 1}

    await asyncio.gather(*(commit(item, size_bytes=size) for item, size in sizes.items()))

    assert writer.batches == [["a", "b"], ["c"], ["d"], ["e"]]


async def test_a_bad_item_fails_alone(commit: GroupCommit[str, str]) -> None:
    """Those beside it are written."""
    outcomes = await asyncio.gather(*map(commit, "aBc"), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [str, Refused, str]


async def test_a_write_that_fails_fails_exactly_its_own_callers(writer: Writer, commit: GroupCommit[str, str]) -> None:
    """Callers of the next write are not affected."""
    writer.broken = ConnectionError("gone")

    outcomes = await asyncio.gather(*(outcome_of(commit(item)) for item in "abcdef"))

    assert outcomes == [ConnectionError] * 3 + [None] * 3
    assert writer.batches == [list("abc"), list("def")]


async def test_a_caller_cancelled_before_the_write_is_left_out(writer: Writer, commit: GroupCommit[str, str]) -> None:
    """Nothing of it is written, and the others are."""
    async with held(writer, commit):
        gone, stays = asyncio.create_task(commit("gone")), asyncio.create_task(commit("stays"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])

    assert await stays == "STAYS"
    assert gone.cancelled()
    assert writer.batches == [["first"], ["stays"]]


async def test_a_caller_cancelled_during_the_write_does_not_affect_the_others(
    writer: Writer, commit: GroupCommit[str, str]
) -> None:
    """Its item is written completely, and so are the others."""
    writer.gate.clear()
    gone, stays = asyncio.create_task(commit("gone")), asyncio.create_task(commit("stays"))
    await writer.begun(1)
    gone.cancel()
    await asyncio.wait([gone])
    writer.gate.set()

    assert await stays == "STAYS"
    assert writer.batches == [["gone", "stays"]]
    assert await commit("next") == "NEXT"


async def test_a_write_knows_nothing_of_the_request_that_began_it(
    writer: Writer, commit: GroupCommit[str, str]
) -> None:
    """It belongs to many requests: its log lines have the context of none of them."""
    REQUEST.set("request-1")

    await commit("a")

    assert writer.request == ""


async def test_the_end_of_the_event_loop_cancels_all_waiting_callers(
    writer: Writer, commit: GroupCommit[str, str]
) -> None:
    """Callers in the write and after it; none hangs."""
    writer.gate.clear()
    before = asyncio.all_tasks()
    callers = [asyncio.create_task(commit(item)) for item in "abcd"]
    await writer.begun(1)
    (write,) = asyncio.all_tasks() - before - set(callers)

    write.cancel()

    done, _ = await asyncio.wait(callers, timeout=5)
    assert [caller.cancelled() for caller in done] == [True] * 4
