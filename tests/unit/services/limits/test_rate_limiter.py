"""The rate limiter."""

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


async def test_above_its_limit_a_key_gets_the_time_of_its_next_request() -> None:
    """Above its own limit, or the default, a request is rejected with the time of the next free one."""
    for caller, defaults in ((APP, TWO), (Caller(role=Role.ADMIN, owner="ow_1", limits=TWO), KeyLimits())):
        rate_limiter = RateLimiter(MemoryRates(clock=MovableClock()), defaults, MovableClock())
        for _ in range(2):
            assert await rate_limiter.admit(caller)

        with pytest.raises(TooManyRequests) as caught:
            await rate_limiter.admit(caller)
        assert caught.value.retry_after_s == 60
        assert not caught.value.rate_limit_status.left


@pytest.mark.parametrize(("caller", "defaults"), [(ANYBODY, TWO), (APP, KeyLimits())])
async def test_without_a_limit_nothing_is_counted(caller: Caller, defaults: KeyLimits) -> None:
    """Without a limit there is no call to Redis."""
    rates = MemoryRates()

    assert await RateLimiter(rates, defaults, MovableClock()).admit(caller) is None
    assert rates.asked == 0


async def test_without_redis_requests_pass_uncounted_for_a_second() -> None:
    """If Redis is unavailable requests pass uncounted, and Redis is called again a second later."""
    rates, clock = MemoryRates(), MovableClock()
    rate_limiter = RateLimiter(rates, TWO, clock)
    rates.reachable = False
    assert [await rate_limiter.admit(APP) for _ in range(5)] == [None] * 5
    assert rates.asked == 1

    rates.reachable = True
    clock.forward(1)
    assert await rate_limiter.admit(APP)


class Silent(MemoryRates):
    """Rates that never respond."""

    async def count(self, whose: str, *, limit: int) -> RateLimitStatus:  # noqa: ARG002
        """Never return."""
        self.asked += 1
        return await asyncio.Future()


async def test_a_redis_that_does_not_respond_is_not_waited_for() -> None:
    """If Redis does not respond in time, the request passes."""
    assert await RateLimiter(Silent(), TWO, MovableClock()).admit(APP) is None
