"""What every `Quotas` does. A test class inherits this and gives the fixture `quotas`, an empty one on `clock`."""

import asyncio
from datetime import timedelta

import pytest

from core.quotas import Counted, Quota, Quotas
from tests.contracts.gates import NOW, MovableClock

UNTIL = NOW + timedelta(seconds=600)
TWO = Quota(name="open:provider:volcengine", limit=2)
ONE = Quota(name="waiting:key:ow_1", limit=1)


async def taken(quotas: Quotas, task_id: str, *needed: Quota) -> Quota | None:
    """The quota that is full, or None where the task counts."""
    return await quotas.take(task_id, needed, until=UNTIL)


class QuotasContract:
    """The rules of `core.quotas.Quotas`."""

    @pytest.fixture
    def clock(self) -> MovableClock:
        """Stands at `NOW`."""
        return MovableClock()

    async def test_as_many_tasks_as_the_limit_count(self, quotas: Quotas) -> None:
        """The next task is refused with the full quota, and does not count."""
        assert [await taken(quotas, f"task_{number}", TWO) for number in range(3)] == [None, None, TWO]
        assert await quotas.counted() == {TWO.name: {"task_0", "task_1"}}

    async def test_a_task_counts_in_all_or_in_none(self, quotas: Quotas) -> None:
        """A task that a later quota refuses does not count in the earlier ones."""
        await taken(quotas, "task_1", ONE)

        assert await taken(quotas, "task_2", TWO, ONE) == ONE
        assert await quotas.counted() == {ONE.name: {"task_1"}}

    async def test_a_limit_of_zero_refuses_every_task(self, quotas: Quotas) -> None:
        """So it closes what it limits."""
        closed = Quota(name="open:key:x", limit=0)

        assert await taken(quotas, "task_1", closed) == closed

    async def test_of_many_at_once_exactly_as_many_as_the_limit_count(self, quotas: Quotas) -> None:
        """A hundred at a quota of two: calls of the same moment do not exceed it."""
        answers = await asyncio.gather(*(taken(quotas, f"task_{number}", TWO) for number in range(100)))

        assert answers.count(None) == 2

    async def test_a_task_that_counts_already_does_so_once(self, quotas: Quotas) -> None:
        """And it is not refused by a quota that it fills itself."""
        assert [await taken(quotas, "task_1", ONE) for _ in range(2)] == [None, None]
        assert await quotas.counted() == {ONE.name: {"task_1"}}

    async def test_giving_back_frees_a_place(self, quotas: Quotas) -> None:
        """In those quotas only; giving back twice is the same as once."""
        await taken(quotas, "task_1", ONE, TWO)
        for _ in range(2):
            await quotas.give_back("task_1", [ONE.name])

        assert await quotas.counted() == {TWO.name: {"task_1"}}
        assert await taken(quotas, "task_2", ONE) is None

    async def test_a_task_that_never_counted_can_be_given_back(self, quotas: Quotas) -> None:
        """Nothing happens."""
        await taken(quotas, "task_1", ONE)
        await quotas.give_back("task_2", [ONE.name, "open:key:unknown"])

        assert await quotas.counted() == {ONE.name: {"task_1"}}

    async def test_stored_tasks_count_however_full_the_quota_is(self, quotas: Quotas) -> None:
        """After the state was lost; new tasks are refused until fewer than the limit count."""
        await quotas.restore([Counted(quota=ONE.name, task_id=f"task_{n}", until=UNTIL) for n in range(3)])
        assert await taken(quotas, "task_9", ONE) == ONE

        for number in range(3):
            await quotas.give_back(f"task_{number}", [ONE.name])
        assert await taken(quotas, "task_9", ONE) is None

    async def test_nothing_can_be_restored(self, quotas: Quotas) -> None:
        """An empty list restores nothing."""
        await quotas.restore([])

        assert await quotas.counted() == {}

    async def test_a_task_that_is_never_given_back_counts_until_its_time(
        self, quotas: Quotas, clock: MovableClock
    ) -> None:
        """To the millisecond; what a crash left behind expires."""
        await taken(quotas, "task_1", ONE)
        clock.forward(599.999)
        assert await taken(quotas, "task_2", ONE) == ONE

        clock.forward(0.001)
        assert await quotas.counted() == {}
        assert await taken(quotas, "task_2", ONE) is None

    async def test_a_later_time_holds(self, quotas: Quotas, clock: MovableClock) -> None:
        """Counting again never shortens it."""
        await quotas.take("task_1", [ONE], until=UNTIL + timedelta(seconds=60))
        await taken(quotas, "task_1", ONE)
        clock.forward(630)

        assert await quotas.counted() == {ONE.name: {"task_1"}}
