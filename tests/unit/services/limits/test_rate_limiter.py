"""How fast a key may ask."""

import asyncio

import pytest

from core.callers import ANYBODY, Caller, KeyLimits, Role
from core.errors import TooManyRequests
from core.rates import RateLimitStatus
from services.limits.rate_limiter import RateLimiter
from tests.contracts.gates import MovableClock
from tests.fakes.rates import MemoryRates

APP = Caller(role=Role.APP, owner="ow_1")
TWO = KeyLimits(requests_per_minute=2)


async def test_beyond_its_limit_a_key_is_reported_when_to_come_back() -> None:
    """Its own limit, or that of every key."""
    for caller, defaults in ((APP, TWO), (Caller(role=Role.ADMIN, owner="ow_1", limits=TWO), KeyLimits())):
        rate_limiter = RateLimiter(MemoryRates(clock=MovableClock()), defaults, MovableClock())
        for _ in range(2):
            assert await rate_limiter.admit(caller)

        with pytest.raises(TooManyRequests) as caught:
            await rate_limiter.admit(caller)
        assert caught.value.retry_after_s == 60
        assert not caught.value.rate_limit_status.left


@pytest.mark.parametrize(("caller", "defaults"), [(ANYBODY, TWO), (APP, KeyLimits())])
async def test_where_nothing_is_bounded_nobody_counts(caller: Caller, defaults: KeyLimits) -> None:
    """No limit, no round trip."""
    rates = MemoryRates()

    assert await RateLimiter(rates, defaults, MovableClock()).admit(caller) is None
    assert rates.asked == 0


async def test_without_redis_requests_pass_and_it_is_asked_again_a_second_later() -> None:
    """An outage does not slow down each request."""
    rates, clock = MemoryRates(), MovableClock()
    rate_limiter = RateLimiter(rates, TWO, clock)
    rates.reachable = False
    assert [await rate_limiter.admit(APP) for _ in range(5)] == [None] * 5
    assert rates.asked == 1

    rates.reachable = True
    clock.forward(1)
    assert await rate_limiter.admit(APP)


class Silent(MemoryRates):
    """Takes the question and never answers."""

    async def count(self, whose: str, *, limit: int) -> RateLimitStatus:  # noqa: ARG002
        """Wait for ever."""
        self.asked += 1
        return await asyncio.Future()


async def test_a_redis_that_does_not_answer_is_not_waited_for() -> None:
    """The request passes."""
    assert await RateLimiter(Silent(), TWO, MovableClock()).admit(APP) is None
