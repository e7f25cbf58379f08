"""What every `Rates` does. A test class inherits this and gives the fixture `rates`, an empty one on `clock`."""

import asyncio

import pytest

from core.rates import RateLimitStatus, Rates
from tests.contracts.gates import MovableClock


async def passed(rates: Rates, count: int, *, limit: int, whose: str = "ow_1") -> int:
    """The number of requests that pass, of `count`."""
    return sum([(await rates.count(whose, limit=limit)).passed for _ in range(count)])


class RatesContract:
    """The rules of `core.rates.Rates`."""

    @pytest.fixture
    def clock(self) -> MovableClock:
        """Stands at `NOW`."""
        return MovableClock()

    async def test_as_many_as_the_limit_pass_in_a_minute(self, rates: Rates) -> None:
        """Each answer says how many are left; the next one when to try again."""
        answers = [await rates.count("ow_1", limit=2) for _ in range(3)]

        assert answers == [
            RateLimitStatus(limit=2, left=1, reset_s=60, passed=True),
            RateLimitStatus(limit=2, left=0, reset_s=60, passed=True),
            RateLimitStatus(limit=2, left=0, reset_s=60, passed=False),
        ]

    async def test_each_has_its_own_minute(self, rates: Rates) -> None:
        """A key above its limit does not affect another."""
        assert await passed(rates, 5, limit=2) == 2
        assert await passed(rates, 5, limit=3, whose="ow_2") == 3

    async def test_the_minute_slides(self, rates: Rates, clock: MovableClock) -> None:
        """As many requests pass as passed a minute ago."""
        assert await passed(rates, 1, limit=3) == 1
        clock.forward(20)
        assert await passed(rates, 5, limit=3) == 2
        answer = await rates.count("ow_1", limit=3)
        assert (answer.passed, answer.reset_s) == (False, 40)

        clock.forward(answer.reset_s)
        assert await passed(rates, 5, limit=3) == 1
        clock.forward(20)
        assert await passed(rates, 5, limit=3) == 2

    async def test_in_no_minute_more_than_the_limit_pass(self, rates: Rates, clock: MovableClock) -> None:
        """However often a key asks, no 60 seconds have more than the limit."""
        seconds: list[int] = []
        for second in range(150):
            seconds += [second] * await passed(rates, 2, limit=7)
            clock.forward(1)

        assert max(sum(start <= at < start + 60 for at in seconds) for start in range(150)) == 7

    async def test_one_that_is_refused_does_not_count(self, rates: Rates, clock: MovableClock) -> None:
        """Rejected requests do not prolong the waiting time."""
        await passed(rates, 2, limit=2)
        for _ in range(59):
            clock.forward(1)
            assert await passed(rates, 3, limit=2) == 0

        clock.forward(1)
        assert await passed(rates, 1, limit=2) == 1

    async def test_a_limit_that_was_lowered_holds_at_once(self, rates: Rates, clock: MovableClock) -> None:
        """The answer says when a request passes under the new limit."""
        await passed(rates, 3, limit=9)
        clock.forward(10)
        await passed(rates, 3, limit=9)

        assert await rates.count("ow_1", limit=2) == RateLimitStatus(limit=2, left=0, reset_s=60, passed=False)

    async def test_of_many_at_once_as_many_as_the_limit_pass(self, rates: Rates) -> None:
        """Also of several keys, mixed."""
        answers = await asyncio.gather(*(rates.count(f"ow_{n % 2}", limit=10) for n in range(100)))

        assert [sum(answer.passed for answer in answers[half::2]) for half in (0, 1)] == [10, 10]
