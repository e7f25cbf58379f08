"""Callers' requests racing with workers' writes, on a real MongoDB and a real Valkey: one of them wins, and says so."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta
from typing import Any

import pytest

from core import transitions
from core.attempts import Failure
from core.clock import utc_now
from core.errors import NotPossible, Stale, TaskNotFound
from core.redaction import redaction
from core.registry import Registry
from core.task_states import State
from core.tasks import Task
from polyrelay import Model, Params, Provider, TaskType
from repositories.mongodb.client import connect_mongo
from repositories.mongodb.tasks import MongoTaskRepository
from repositories.valkey.connection import connect_queue
from repositories.valkey.gates import RedisGates
from repositories.valkey.quotas import RedisQuotas
from repositories.valkey.wakes import ArqWakeQueue
from services.execution.vendor_audit import VendorCalls
from services.limits.task_quotas import QuotaLimits, TaskQuotas
from services.tasks.cancel import CancelOutcome, CancelTask
from services.tasks.delete import DeleteTask
from services.tasks.retry import RetryTask
from tests.contracts.tasks import a_task
from tests.fakes.access import MemoryUsedSignatures
from tests.fakes.audit import MemoryAuditLog
from tests.fakes.result_store import MemoryResultStore

ROUNDS = 40
OWNER = "worker-1"
FAILURE = Failure(code="outcome_unknown", message="lost")


class Paper(Params, frozen=True):
    """What the model takes."""

    prompt: str


class Painter:
    """A service that is registered and never called."""

    models = (Model(name="jimeng_t2i_v40", type=TaskType.IMAGE, params=Paper, timeout_s=60),)

    async def submit(self, _: object) -> object:
        """Fail the test."""
        raise AssertionError("submitted")

    async def poll(self, _: object, __: str) -> object:
        """Fail the test."""
        raise AssertionError("polled")

    async def aclose(self) -> None:
        """Nothing to close."""


class Rig:
    """The use cases on real servers."""

    def __init__(self, mongo_url: str, redis_url: str) -> None:
        self.tasks = MongoTaskRepository(connect_mongo(mongo_url))
        self.redis = connect_queue(redis_url)
        queue, gates, quotas = ArqWakeQueue(self.redis), RedisGates(self.redis), RedisQuotas(self.redis)
        registry = Registry([Provider("volcengine", [Painter()])])  # type: ignore[list-item]
        self.cancel = CancelTask(tasks=self.tasks, queue=queue, gates=gates, quotas=quotas, clock=utc_now)
        self.retry = RetryTask(self.tasks, queue, registry, utc_now, TaskQuotas(quotas, self.tasks, QuotaLimits()))
        self.delete = DeleteTask(
            tasks=self.tasks,
            results=MemoryResultStore(),
            registry=registry,
            queue=queue,
            gates=gates,
            quotas=quotas,
            calls=VendorCalls(MemoryAuditLog(), clock=utc_now, source="api", redact=redaction()),
            used_signatures=MemoryUsedSignatures(),
            clock=utc_now,
        )

    async def stored(self, state: State) -> Task:
        """A task in that state, as a worker would have left it."""
        now = utc_now()
        task = a_task(created=now, deadline=now + timedelta(minutes=10))
        await self.tasks.add(task, {"prompt": "a fox"})
        if state is State.PENDING:
            return task
        task = transitions.begun(task, choice=0, owner=OWNER, lease_s=30, now=now)
        await self.tasks.save(task)
        if state is State.FAILED:
            task = task.to(
                State.FAILED, now=now, attempts=task.with_attempt(ended=now, failure=FAILURE), failure=FAILURE
            )
            await self.tasks.save(task)
        return task

    async def saved(self, task: Task) -> bool:
        """Whether the worker's write is stored."""
        try:
            await self.tasks.save(task)
        except Stale:
            return False
        return True


@pytest.fixture
async def rig(mongo_database_url: str, redis_url: str) -> AsyncIterator[Rig]:
    """Empty."""
    rig = Rig(mongo_database_url, redis_url)
    await rig.tasks.prepare()
    yield rig
    await rig.redis.aclose()
    await rig.tasks.aclose()


async def outcome_of(request: Awaitable[object]) -> object:
    """The answer, or the refusal."""
    try:
        return await request
    except (NotPossible, TaskNotFound) as error:
        return type(error)


async def together(first: Awaitable[object], second: Awaitable[object]) -> list[Any]:
    """The outcomes of both, done at once; either may be the first to begin."""
    if secrets.randbelow(2):
        later, sooner = await asyncio.gather(second, first)
        return [sooner, later]
    return list(await asyncio.gather(first, second))


async def test_a_cancel_and_a_claim_of_one_task_do_not_both_win(rig: Rig) -> None:
    """Either the task is cancelled and the worker may not submit, or it is claimed and the cancel is only requested."""
    for _ in range(ROUNDS):
        task = await rig.stored(State.PENDING)
        claim = transitions.begun(task, choice=0, owner=OWNER, lease_s=30, now=utc_now())

        cancelled, claimed = await together(rig.cancel(task.id), rig.saved(claim))

        stored = await rig.tasks.get(task.id)
        if claimed:
            assert cancelled.outcome is CancelOutcome.REQUESTED
            assert (stored.state, stored.is_cancel_requested) == (State.SUBMITTING, True)
        else:
            assert cancelled.outcome is CancelOutcome.CANCELLED
            assert (stored.state, stored.attempts) == (State.CANCELLED, ())


async def test_a_cancel_and_a_completion_leave_one_final_state(rig: Rig) -> None:
    """The worker's completion is never lost to a cancellation request; the caller gets `requested` or a refusal."""
    for _ in range(ROUNDS):
        task = await rig.stored(State.SUBMITTING)
        done = transitions.finished(task, (), None, now=utc_now())

        cancelled, saved = await together(outcome_of(rig.cancel(task.id)), rig.saved(done))

        assert saved
        assert (await rig.tasks.get(task.id)).state is State.COMPLETED
        assert cancelled is NotPossible or cancelled.outcome is CancelOutcome.REQUESTED


async def test_a_deletion_and_a_completion_do_not_both_win(rig: Rig) -> None:
    """The task stays deleted, and the write of a worker that was too late is refused."""
    for _ in range(ROUNDS):
        task = await rig.stored(State.SUBMITTING)
        done = transitions.finished(task, (), None, now=utc_now())

        removed, saved = await together(rig.delete(task.id), rig.saved(done))

        assert removed.task.state is (State.COMPLETED if saved else State.SUBMITTING)
        with pytest.raises(TaskNotFound):
            await rig.tasks.get(task.id)
        assert not await rig.saved(done)


async def test_two_retries_at_once_are_one(rig: Rig) -> None:
    """One puts the task back, the other hears that it is pending: it is submitted once."""
    for _ in range(ROUNDS):
        task = await rig.stored(State.FAILED)

        outcomes = await together(outcome_of(rig.retry(task.id)), outcome_of(rig.retry(task.id)))

        assert outcomes.count(NotPossible) == 1
        stored = await rig.tasks.get(task.id)
        assert (stored.state, stored.version, stored.attempts_before) == (State.PENDING, task.version + 1, 1)


async def test_a_retry_and_a_deletion_do_not_leave_half_a_task(rig: Rig) -> None:
    """Whichever comes first, the task is gone in the end."""
    for _ in range(ROUNDS):
        task = await rig.stored(State.FAILED)

        retried, _ = await together(outcome_of(rig.retry(task.id)), rig.delete(task.id))

        assert retried is TaskNotFound or isinstance(retried, Task)
        with pytest.raises(TaskNotFound):
            await rig.tasks.get(task.id)
