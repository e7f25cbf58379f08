"""Removing tasks while workers write to them."""

import pytest
from msgspec import structs

from core.errors import Stale, StoreUnavailable, TaskNotFound
from core.gates import Gate
from core.optimistic import MOST_TRIES
from core.redaction import redaction
from core.task_states import OPEN, State
from core.tasks import Task
from polyrelay import ProtocolError, ProviderError, Rejected, Unavailable
from services.execution.vendor_audit import VendorCalls
from services.tasks.billing import may_be_billed
from services.tasks.delete import DeleteTask
from tests.fakes.access import MemoryUsedSignatures
from tests.fakes.audit import MemoryAuditLog
from tests.fakes.gates import MemoryGates
from tests.fakes.quotas import MemoryQuotas
from tests.fakes.result_store import MemoryResultStore
from tests.fakes.tasks import MemoryTaskRepository
from tests.fakes.wakes import MemoryWakeQueue
from tests.unit.api.api_fixture import NOW, a_task, api_registry
from tests.unit.services.use_case_fixture import FALLBACK, START, UseCaseFixture, attempt_of


class Contended(MemoryTaskRepository):
    """Another writer comes first `times` times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.saved: list[State] = []

    async def save(self, task: Task) -> None:
        """Let the other one write first."""
        if self.times:
            self.times -= 1
            stored = await self.get(task.id)
            await super().save(structs.replace(stored, version=stored.version + 1))
        await super().save(task)
        self.saved.append(task.state)


def remover(tasks: MemoryTaskRepository, used_signatures: MemoryUsedSignatures | None = None) -> DeleteTask:
    """The use case on those tasks."""
    return DeleteTask(
        tasks=tasks,
        results=MemoryResultStore(),
        registry=api_registry(),
        queue=MemoryWakeQueue(),
        gates=MemoryGates(),
        quotas=MemoryQuotas(),
        calls=VendorCalls(MemoryAuditLog(), clock=lambda: NOW, source="api", redact=redaction()),
        used_signatures=used_signatures or MemoryUsedSignatures(),
        clock=lambda: NOW,
    )


@pytest.mark.parametrize("state", sorted(OPEN))
async def test_an_open_task_is_ended_before_it_goes(state: State) -> None:
    """A final state is stored first, so that a worker that holds the task cannot save it any more."""
    tasks = Contended(0)
    task = a_task(state=state)
    await tasks.add(task, {})

    found = await remover(tasks)(task.id)

    assert found.task.state is state
    assert tasks.saved == [State.FAILED if state is State.STORING else State.CANCELLED]
    with pytest.raises(TaskNotFound):
        await tasks.get(task.id)


async def test_a_lost_race_is_run_again() -> None:
    """Where a worker writes first, the task is read and ended again."""
    tasks = Contended(3)
    task = a_task()
    await tasks.add(task, {})

    await remover(tasks)(task.id)

    assert tasks.saved == [State.CANCELLED]


async def test_a_race_that_is_always_lost_ends() -> None:
    """After many tries the caller gets `conflict`."""
    tasks = Contended(MOST_TRIES + 1)
    task = a_task()
    await tasks.add(task, {})

    with pytest.raises(Stale):
        await remover(tasks)(task.id)


async def test_a_task_that_was_deleted_meanwhile_is_not_found() -> None:
    """Two removals at once: the second finds nothing."""
    with pytest.raises(TaskNotFound):
        await remover(MemoryTaskRepository())(a_task().id)


async def test_the_vendor_of_a_deleted_task_is_asked_to_stop() -> None:
    """With the job and the operation of the open attempt, once no worker can submit it again; then the task is gone."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored(state=State.WAITING)

    removed = await use_case_fixture.delete(task.id)

    ((operation, job),) = use_case_fixture.first.stops
    assert (operation, job.task_id, job.attempt, job.model) == ("op-1", task.id, 1, "wide")
    assert job.params.size == "2K"
    assert removed.vendor_stopped
    assert may_be_billed(removed.task)
    with pytest.raises(TaskNotFound):
        await use_case_fixture.tasks.get(task.id)
    with pytest.raises(Stale):
        await use_case_fixture.tasks.save(task.to(State.PENDING, now=START))


async def test_the_vendor_of_a_fallback_is_asked_with_the_fallbacks_input() -> None:
    """Who was given the task is asked, and not the first choice."""
    use_case_fixture = UseCaseFixture()
    attempts = (attempt_of(State.WAITING, START, provider="two", model="narrow"),)
    task = await use_case_fixture.stored(state=State.WAITING, choice=1, fallbacks=(FALLBACK,), attempts=attempts)

    await use_case_fixture.delete(task.id)

    assert use_case_fixture.first.stops == []
    assert [job.params.size for _, job in use_case_fixture.second.stops] == ["512x512"]


@pytest.mark.parametrize("state", [State.PENDING, State.SUBMITTING, State.STORING, State.COMPLETED, State.FAILED])
async def test_no_vendor_is_asked_where_nothing_is_known_to_be_under_way(state: State) -> None:
    """Before there is an operation, and after it has ended."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored(state=state)

    assert not (await use_case_fixture.delete(task.id)).vendor_stopped
    assert use_case_fixture.first.stops == []


async def test_a_vendor_that_was_asked_by_a_worker_is_not_asked_again() -> None:
    """Its attempt is stored as ended."""
    use_case_fixture = UseCaseFixture()
    attempts = (attempt_of(State.WAITING, START, ended=START),)
    task = await use_case_fixture.stored(state=State.CANCELLED, attempts=attempts)

    assert not (await use_case_fixture.delete(task.id)).vendor_stopped
    assert use_case_fixture.first.stops == []


@pytest.mark.parametrize("error", [Rejected("too late"), Unavailable("away"), ProtocolError("what?")])
async def test_a_vendor_that_does_not_stop_does_not_prevent_the_deletion(error: ProviderError) -> None:
    """The task goes all the same, and the answer does not claim that anything was stopped."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored(state=State.WAITING)
    use_case_fixture.first.refusal = error

    assert not (await use_case_fixture.delete(task.id)).vendor_stopped
    with pytest.raises(TaskNotFound):
        await use_case_fixture.tasks.get(task.id)


async def test_a_repeated_deletion_asks_the_vendor_again() -> None:
    """If the files cannot be deleted, the task stays stored as cancelled; the repeated call completes the deletion."""
    use_case_fixture = UseCaseFixture()
    task = await use_case_fixture.stored(state=State.WAITING)
    use_case_fixture.results.reachable = False
    with pytest.raises(StoreUnavailable):
        await use_case_fixture.delete(task.id)
    assert (await use_case_fixture.tasks.get(task.id)).state is State.CANCELLED

    use_case_fixture.results.reachable = True

    assert (await use_case_fixture.delete(task.id)).vendor_stopped
    assert len(use_case_fixture.first.stops) == 2


async def test_a_deleted_task_releases_its_gates() -> None:
    """Its slot is released, and the task that waits for it is woken."""
    use_case_fixture = UseCaseFixture()
    gate = Gate(name="provider:one", limit=1)
    holder, behind = await use_case_fixture.stored(state=State.WAITING), await use_case_fixture.stored()
    for task in (holder, behind):
        await use_case_fixture.gates.enter(use_case_fixture.ticket(task, gate))

    await use_case_fixture.delete(holder.id)

    assert list(await use_case_fixture.gates.holders()) == []
    assert [wake.task_id for wake in use_case_fixture.queue.history] == [behind.id]


@pytest.mark.parametrize(("age_s", "kept"), [(0, True), (600, True), (661, False)])
async def test_the_signature_of_a_young_task_stays_used_up(age_s: float, kept: bool) -> None:
    """Who recorded the request that created it cannot have it created again, as long as the signature is good."""
    tasks, used_signatures = Contended(0), MemoryUsedSignatures()
    task = a_task(age_s=age_s, replay="signature")
    await tasks.add(task, {"prompt": "a fox"})

    await remover(tasks, used_signatures)(task.id)

    assert await used_signatures.spent("signature") == kept
