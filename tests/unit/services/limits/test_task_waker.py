"""Wakes of tasks that may enter a gate, and what a vendor's error shows about the vendor."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from msgspec import structs

from core.gates import Admission, Gate, Ticket, VendorStatus
from core.priorities import Priority
from core.registry import Registry
from polyrelay import (
    GenerationFailed,
    NotAccepted,
    OutcomeUnknown,
    Overloaded,
    ProtocolError,
    Provider,
    ProviderError,
    RateLimited,
    Rejected,
    Unavailable,
)
from services.limits.admission import (
    Admissions,
    GateLimits,
    TaskGates,
    TaskWaker,
    leave_gates,
    vendor_status_of,
)
from tests.contracts.tasks import a_task
from tests.fakes.gates import MemoryGates
from tests.fakes.tasks import MemoryTaskRepository
from tests.fakes.wakes import MemoryWakeQueue
from tests.unit.services.execution_fixture import ScriptedService

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TICKET = Ticket(
    task_id="task_1",
    account="acme",
    gates=(Gate(name="model:acme/acme-1", limit=1),),
    priority=Priority.DEFAULT,
    since=NOW,
    submit_interval_s=0.0,
    held_until=NOW,
)


class MovedOn(MemoryGates):
    """Gates at which the entering task leaves a wait queue, so that another task may enter."""

    async def enter(self, ticket: Ticket) -> Admission:
        """As `Gates.enter`."""
        return structs.replace(await super().enter(ticket), wakes=("task_2",))


def waker_of(queue: MemoryWakeQueue, tasks: MemoryTaskRepository | None = None) -> TaskWaker:
    """A waker with that queue."""
    return TaskWaker(tasks or MemoryTaskRepository(), queue, lambda: NOW)


@pytest.mark.parametrize("priority", Priority)
async def test_a_task_is_woken_in_the_queue_of_its_priority(priority: Priority) -> None:
    """The wake is due now and has the priority of the stored task."""
    tasks, queue = MemoryTaskRepository(), MemoryWakeQueue()
    task = structs.replace(a_task(), priority=priority)
    await tasks.add(task, {"prompt": "a fox"})

    await waker_of(queue, tasks).wake([task.id])

    assert [(wake.task_id, wake.at, wake.priority) for wake in queue.wakes] == [(task.id, NOW, priority)]


async def test_a_deleted_task_is_woken_with_the_default_priority() -> None:
    """The step that does not find it leaves its gates."""
    queue = MemoryWakeQueue()

    await waker_of(queue).wake(["task_deleted"])

    assert [(wake.task_id, wake.priority) for wake in queue.wakes] == [("task_deleted", Priority.DEFAULT)]


async def test_entering_wakes_the_tasks_that_may_enter_next() -> None:
    """A task that waits for another gate than before makes room in the wait queue that it leaves."""
    queue = MemoryWakeQueue()

    await TaskGates(MovedOn(), waker_of(queue), TICKET).enter()

    assert [wake.task_id for wake in queue.wakes] == ["task_2"]


@pytest.mark.parametrize(
    ("call", "event"),
    [
        (lambda gates, waker: TaskGates(gates, waker, TICKET).report(), "vendor_status_report_failed"),
        (lambda gates, waker: TaskGates(gates, waker, TICKET).leave(), "gate_release_failed"),
        (lambda gates, waker: leave_gates(gates, waker, "task_1"), "gate_release_failed"),
        (lambda _, waker: waker.wake(["task_1"]), "wake_failed"),
    ],
    ids=["report", "leave", "leave by id", "wake"],
)
async def test_a_call_that_is_lost_while_redis_is_unavailable_is_logged(
    call: Callable[[MemoryGates, TaskWaker], Awaitable[None]], event: str
) -> None:
    """It raises no error: a report is only a hint, and the gate reconciler corrects the rest later."""
    gates, queue = MemoryGates(), MemoryWakeQueue()
    gates.reachable = queue.reachable = False

    with structlog.testing.capture_logs() as logs:
        await call(gates, waker_of(queue))

    assert [entry["event"] for entry in logs] == [event]


def test_a_hold_lasts_until_two_minutes_after_the_deadline() -> None:
    """The hold of a task that runs until its deadline does not expire before the task ends."""
    service = ScriptedService(submit=())
    route = Registry([Provider("acme", [service])]).route("acme", service.models[0].name)
    task = a_task()

    ticket = Admissions(MemoryGates(), waker_of(MemoryWakeQueue()), GateLimits()).ticket(task, route)

    assert ticket.held_until == task.deadline + timedelta(minutes=2)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, VendorStatus.AVAILABLE),
        (RateLimited("slow down"), VendorStatus.THROTTLED),
        (Overloaded("busy"), VendorStatus.THROTTLED),
        (Unavailable("no connection"), VendorStatus.UNAVAILABLE),
        (OutcomeUnknown("no response"), VendorStatus.UNAVAILABLE),
        (NotAccepted("no"), VendorStatus.UNKNOWN),
        (Rejected("wrong size"), VendorStatus.UNKNOWN),
        (GenerationFailed("failed"), VendorStatus.UNKNOWN),
        (ProtocolError("not JSON"), VendorStatus.UNKNOWN),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, VendorStatus) else value.name,
)
def test_each_error_shows_a_status_of_the_vendor(error: ProviderError | None, status: Any) -> None:
    """A response without an error shows an available vendor, a refusal of one task shows nothing about it."""
    assert vendor_status_of(error) is status
