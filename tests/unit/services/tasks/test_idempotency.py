"""The same request is done once."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from msgspec import structs

from core.callers import ANYBODY, Caller, Role
from core.errors import (
    IdempotencyKeyReused,
    InvalidRequest,
    ProviderUnavailable,
    QueueFull,
    ReplayedRequest,
    StoreUnavailable,
    TaskNotFound,
)
from core.redaction import redaction
from core.registry import Registry
from core.task_states import State
from core.tasks import Idempotency, Task
from services.limits.task_quotas import QuotaLimits, TaskQuotas
from services.tasks.create import CreateTask
from services.tasks.idempotency import KEPT, CreateOutcome, idempotency_of
from tests.contracts.task_repository import outcome_of
from tests.contracts.tasks import NOW, a_task
from tests.fakes.quotas import MemoryQuotas
from tests.fakes.tasks import MemoryTaskRepository
from tests.fakes.wakes import MemoryWakeQueue


class Counter:
    """
    Requests that create tasks.

    Attributes:
        now: The time.
        created: How often one tried to create.
        refusal: Raised instead, or None.
    """

    def __init__(self) -> None:
        self.tasks = MemoryTaskRepository()
        self.now = NOW
        self.created = 0
        self.refusal: Exception | None = None
        self._create_task = CreateTask(
            self.tasks,
            MemoryWakeQueue(),
            Registry([]),
            lambda: self.now,
            TaskQuotas(MemoryQuotas(), self.tasks, QuotaLimits()),
            redact=redaction(),
        )

    async def ask(
        self, key: str | None = "k", *, body: str = "b", route: str = "image", caller: Caller = ANYBODY
    ) -> Task:
        """One request; its task."""
        if key is None:
            return (await self.once(None, lambda: self._create(None, caller))).task
        idempotency = idempotency_of(key, caller=caller, route=route, body_hash=body, now=self.now)
        return (await self.once(idempotency, lambda: self._create(idempotency, caller))).task

    async def once(self, idempotency: Idempotency | None, create: Callable[[], Awaitable[Task]]) -> CreateOutcome:
        """One request, which creates its task like that."""
        return await self._create_task.once(idempotency, create)

    async def _create(self, idempotency: Idempotency | None, caller: Caller) -> Task:
        self.created += 1
        await asyncio.sleep(0)  # everybody has looked for the key by now
        if self.refusal is not None:
            raise self.refusal
        task = a_task(idempotency=idempotency, replay=caller.replay, owner=caller.owner)
        await self.tasks.add(task, {})
        return task


@pytest.fixture
def counter() -> Counter:
    """Nothing was asked yet."""
    return Counter()


async def test_without_a_key_every_request_is_one_of_its_own(counter: Counter) -> None:
    """Two alike are two tasks."""
    assert await counter.ask(None) != await counter.ask(None)


async def test_the_same_key_and_body_are_the_same_task(counter: Counter) -> None:
    """Whatever became of it since; nothing is created again."""
    first = await counter.ask()
    await counter.tasks.save(first.to(State.FAILED, now=NOW))

    again = await counter.ask()

    assert (again.id, again.state) == (first.id, State.FAILED)
    assert counter.created == 1


async def test_of_many_at_once_one_creates(counter: Counter) -> None:
    """The losers read what the winner created."""
    tasks = await asyncio.gather(*(counter.ask() for _ in range(50)))

    assert len({task.id for task in tasks}) == 1
    assert counter.created > 1, "nobody raced"


async def test_another_body_is_refused(counter: Counter) -> None:
    """It is not done, and the error names the header."""
    await counter.ask(body="b")

    with pytest.raises(IdempotencyKeyReused, match="Idempotency-Key"):
        await counter.ask(body="c")
    assert counter.created == 1


@pytest.mark.parametrize(
    "other",
    [
        {"key": "other"},
        {"route": "video"},
        {"caller": Caller(role=Role.APP, owner="shop")},
    ],
    ids=str,
)
async def test_a_key_is_the_callers_own_and_for_one_route(counter: Counter, other: dict[str, str]) -> None:
    """The same key of another owner or for another route is another key."""
    assert (await counter.ask()).id != (await counter.ask(**other)).id  # type: ignore[arg-type]


async def test_no_two_scopes_are_spelt_alike(counter: Counter) -> None:
    """A key cannot be made to look like another owner's or another route's."""
    keys = {
        idempotency_of(key, caller=Caller(role=Role.APP, owner=owner), route=route, body_hash="", now=NOW).key
        for owner in ("a", "anonymous", None)
        for route in ("image", "video")
        for key in ("k", "image-k", "a/image/k", "video:k")
    }

    assert len(keys) == 2 * 2 * 4  # an owner of that name is nobody else's: owners are ids of ours


async def test_keys_with_one_owner_share_their_words(counter: Counter) -> None:
    """A key of the server that was rotated is still the same caller's."""
    old, new = (Caller(role=Role.APP, owner="shop", key_id=key_id) for key_id in ("key-1", "key-2"))

    assert await counter.ask(caller=old) == await counter.ask(caller=new)


async def test_a_key_means_its_request_for_a_day(counter: Counter) -> None:
    """Up to the last moment; then it may be used anew, for another body too, and means that."""
    first = await counter.ask(body="b")
    counter.now = NOW + KEPT - timedelta(milliseconds=1)
    assert (await counter.ask(body="b")).id == first.id

    counter.now = NOW + KEPT
    second = await counter.ask(body="c")

    assert second.id != first.id
    assert (await counter.ask(body="c")).id == second.id
    assert (await counter.tasks.get(first.id)).idempotency is None


@pytest.mark.parametrize(
    "refusal",
    [InvalidRequest([]), ProviderUnavailable("off"), StoreUnavailable("away"), QueueFull("full", retry_after_s=1)],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_is_not_kept(counter: Counter, refusal: Exception) -> None:
    """The same request is done when it can be."""
    counter.refusal = refusal
    assert await outcome_of(counter.ask()) is type(refusal)

    counter.refusal = None
    await counter.ask()

    assert counter.created == 2


async def test_a_full_quota_of_a_repeated_request_is_no_error(counter: Counter) -> None:
    """Where the first of these requests took the last place, the others are answered with its task."""
    first = await counter.ask("first")
    idempotency = idempotency_of("k", caller=ANYBODY, route="image", body_hash="b", now=NOW)

    async def full() -> Task:
        await counter.tasks.add(structs.replace(a_task(), idempotency=idempotency), {})
        raise QueueFull("full", retry_after_s=1)

    created = await counter.once(idempotency, full)

    assert created.replayed
    assert created.task.id != first.id


async def test_a_signed_request_that_comes_again_is_a_repetition(counter: Counter) -> None:
    """To the byte, as a proxy or a client repeats it, or signed anew: nothing is created."""
    signed = Caller(role=Role.APP, owner="shop", replay="signature-1")
    first = await counter.ask(caller=signed)

    assert (await counter.ask(caller=signed)).id == first.id
    assert (await counter.ask(caller=structs.replace(signed, replay="signature-2"))).id == first.id


async def test_many_with_one_signature_at_once_are_one_task(counter: Counter) -> None:
    """Clients date their signatures to the second."""
    signed = Caller(role=Role.APP, owner="shop", replay="signature-1")
    tasks = await asyncio.gather(*(counter.ask(caller=signed) for _ in range(20)))

    assert len({task.id for task in tasks}) == 1


@pytest.mark.parametrize("key", [None, "other"])
async def test_a_recorded_request_creates_nothing_under_another_key(counter: Counter, key: str | None) -> None:
    """The header is not signed, so a recorded request may be sent with another one."""
    signed = Caller(role=Role.APP, owner="shop", replay="signature-1")
    await counter.ask(caller=signed)

    with pytest.raises(ReplayedRequest):
        await counter.ask(key, caller=signed)


async def test_a_deleted_task_frees_its_key(counter: Counter) -> None:
    """Then the request creates another one."""
    first = await counter.ask()
    await counter.tasks.delete(first)

    second = await counter.ask()

    assert second.id != first.id
    with pytest.raises(TaskNotFound):
        await counter.tasks.get(first.id)
