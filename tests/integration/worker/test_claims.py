"""`RedisClaims` on a real Valkey: which wakes a worker takes, and which claims are its own."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from arq.connections import ArqRedis

from core.claims import ClaimEnding
from core.clock import utc_now
from core.priorities import WEIGHTS, Priority
from repositories.valkey.claims import notification_key_of
from repositories.valkey.connection import QUEUE_NAMES
from repositories.valkey.wakes import ArqWakeQueue
from tests.contracts.engine_fixtures import ClaimEngineFixture
from tests.contracts.wake_engine import many
from tests.contracts.wake_queue import wake_each

LONG_AGO = utc_now() - timedelta(hours=1)


@pytest.fixture
def fixture(redis: ArqRedis) -> ClaimEngineFixture:
    """An empty queue."""
    return ClaimEngineFixture(redis)


@pytest.mark.parametrize("at_a_time", [1, 4, 10, 25])
async def test_weights_hold_however_many_are_taken_at_a_time(fixture: ClaimEngineFixture, at_a_time: int) -> None:
    """While all priorities have wakes, a hundred claims are sixty, thirty and ten."""
    for priority in Priority:
        await wake_each(fixture.queue, many(100, priority, at=LONG_AGO))
    claims = fixture.claims()

    taken = [claim for _ in range(100 // at_a_time) for claim in (await claims.take(at_a_time)).claims]

    assert Counter(claim.priority for claim in taken) == {priority: weight * 10 for priority, weight in WEIGHTS.items()}


async def test_a_share_that_is_not_used_goes_to_the_others(fixture: ClaimEngineFixture) -> None:
    """All slots are filled while anything is due, whatever its priority."""
    await wake_each(fixture.queue, many(20, Priority.LOW, at=LONG_AGO))
    await wake_each(fixture.queue, many(2, Priority.CRITICAL, at=LONG_AGO))

    taken = await fixture.claims().take(10)

    assert Counter(claim.priority for claim in taken.claims) == {Priority.CRITICAL: 2, Priority.LOW: 8}


async def test_workers_that_look_at_once_take_different_wakes(fixture: ClaimEngineFixture) -> None:
    """No two workers hold the same wake at once."""
    await wake_each(fixture.queue, many(100, Priority.DEFAULT, at=LONG_AGO))

    looks = await asyncio.gather(*(fixture.claims().take(10) for _ in range(12)))

    taken = [claim.id for look in looks for claim in look.claims]
    assert len(taken) == len(set(taken)) == 100


async def test_take_reports_when_the_next_wake_is_due(fixture: ClaimEngineFixture) -> None:
    """The earliest of all served priorities; None where nothing is left, nothing to wait for where it is due."""
    claims = fixture.claims()
    assert (await claims.take(1)).next_in_s is None

    await fixture.queue.wake("task_1", at=utc_now() + timedelta(seconds=90))
    await fixture.queue.wake("task_2", at=utc_now() + timedelta(seconds=20), priority=Priority.LOW)
    next_in_s = (await claims.take(1)).next_in_s
    assert next_in_s is not None
    assert 10 < next_in_s <= 20

    await fixture.queue.wake("task_3", at=LONG_AGO)
    assert (await claims.take(0)).next_in_s == 0


async def test_what_is_ended_by_another_worker_stays(fixture: ClaimEngineFixture) -> None:
    """A worker whose lock expired cannot end, give back or renew the claim of the worker that took it over."""
    slow, quick = fixture.claims(lock_s=0.05), fixture.claims()
    await fixture.queue.wake("task_1", at=LONG_AGO)
    (lost,) = (await slow.take(1)).claims
    async with asyncio.timeout(5):
        while not (taken := (await quick.take(1)).claims):
            pass
    (mine,) = taken
    assert mine.id == lost.id

    await slow.hold([lost])
    await slow.take(0, ended=[ClaimEnding(claim=lost), ClaimEnding(claim=lost, again_in_s=0.0)])

    assert (await fixture.claims().take(1)).claims == ()
    assert await fixture.redis.zcard(QUEUE_NAMES[Priority.DEFAULT]) == 1
    await quick.take(0, ended=[ClaimEnding(claim=mine)])
    assert await fixture.redis.zcard(QUEUE_NAMES[Priority.DEFAULT]) == 0
    assert await fixture.redis.keys("arq:*") == []


async def test_a_claim_whose_lock_is_renewed_stays(fixture: ClaimEngineFixture) -> None:
    """Prolonging a lock moves the moment at which the wake would come back."""
    claims = fixture.claims(lock_s=0.1)
    await fixture.queue.wake("task_1", at=LONG_AGO)
    (claim,) = (await claims.take(1)).claims

    until = utc_now() + timedelta(seconds=0.4)
    while utc_now() < until:
        await claims.hold([claim])
        assert (await fixture.claims().take(1)).claims == ()


async def test_a_wake_whose_job_is_gone_is_dropped(fixture: ClaimEngineFixture) -> None:
    """It neither blocks the next wake nor appears again."""
    await fixture.queue.wake("task_1", at=LONG_AGO)
    await fixture.redis.delete(*await fixture.redis.keys("arq:job:*"))
    await fixture.queue.wake("task_2", at=LONG_AGO + timedelta(seconds=1))
    claims = fixture.claims()

    taken = [claim.id for _ in range(2) for claim in (await claims.take(1)).claims]

    assert [claim_id.split(":")[0] for claim_id in taken] == ["task_2"]
    assert await fixture.redis.zcard(QUEUE_NAMES[Priority.DEFAULT]) == 1


async def test_wakes_of_plain_arq_are_taken(fixture: ClaimEngineFixture) -> None:
    """The queue is arq's: a wake that an older server queued is found."""
    await ArqWakeQueue(fixture.redis).wake("task_1", at=LONG_AGO)

    (claim,) = (await fixture.claims().take(1)).claims

    assert claim.id.startswith("task_1:")


async def test_a_wake_notifies_one_idle_worker_of_that_priority(fixture: ClaimEngineFixture) -> None:
    """Workers of other priorities are not notified; a later wake notifies only if it is the earliest."""
    critical = asyncio.create_task(fixture.claims(priorities=[Priority.CRITICAL]).notified())
    default = asyncio.create_task(fixture.claims(priorities=[Priority.DEFAULT]).notified())
    await fixture.queue.wake("task_1", at=LONG_AGO)
    assert await default
    assert not critical.done()

    await fixture.queue.wake("task_2", at=utc_now() + timedelta(hours=2), priority=Priority.CRITICAL)
    assert await critical
    await fixture.queue.wake("task_3", at=utc_now() + timedelta(hours=3), priority=Priority.CRITICAL)
    assert await fixture.redis.exists(notification_key_of(Priority.CRITICAL)) == 0


async def test_a_worker_that_leaves_due_wakes_notifies_another(fixture: ClaimEngineFixture) -> None:
    """A worker that fills all slots, or has none, notifies another that wakes are left."""
    await wake_each(fixture.queue, many(3, Priority.DEFAULT, at=LONG_AGO))
    assert await fixture.claims().notified()

    await fixture.claims().take(2)
    assert await fixture.claims().notified()

    await fixture.claims().take(0)
    assert await fixture.claims().notified()

    await fixture.claims().take(2)
    assert await fixture.redis.exists(notification_key_of(Priority.DEFAULT)) == 0


async def test_every_key_beside_the_queues_has_a_time_to_live(fixture: ClaimEngineFixture) -> None:
    """Notifications, jobs and locks expire."""
    for priority in Priority:
        await wake_each(fixture.queue, many(2, priority, at=LONG_AGO))
    await fixture.claims().take(2)

    keys = {key.decode() for key in await fixture.redis.keys("*")} - set(QUEUE_NAMES.values())

    assert {key for key in keys if key.startswith("polyrelay:")} == {
        notification_key_of(priority) for priority in Priority
    }
    assert [key for key in keys if await fixture.redis.pttl(key) < 0] == []
