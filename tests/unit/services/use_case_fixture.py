"""The use cases of tasks on in-memory adapters, with vendors that can be asked to stop."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from msgspec import Meta, Struct

from core.attempts import Attempt, Failure
from core.callers import ANYBODY, Caller
from core.gates import Gate, Ticket
from core.random_ids import new_task_id
from core.redaction import redaction
from core.registry import Registry
from core.task_states import State
from core.tasks import Choice, Task
from polyrelay import Disabled, Job, Model, Outcome, Params, Pending, Provider, ProviderError, TaskType
from services.execution.recorder import Recorder
from services.execution.vendor_audit import VendorCalls
from services.limits.task_quotas import QuotaLimits, TaskQuotas
from services.tasks.cancel import CancelTask
from services.tasks.create import CreateTask
from services.tasks.delete import DeleteTask
from services.tasks.retry import RetryTask
from tests.fakes.access import MemoryUsedSignatures
from tests.fakes.gates import MemoryGates
from tests.fakes.quotas import MemoryQuotas
from tests.fakes.result_store import MemoryResultStore
from tests.fakes.tasks import MemoryTaskRepository
from tests.fakes.wakes import MemoryWakeQueue

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Wide(Params, frozen=True, kw_only=True):
    """What the first choice takes."""

    prompt: str
    size: Annotated[str, Meta(pattern="^[0-9]K$")] | None = None
    seed: int | None = None


class Mark(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something inside of a param."""

    name: str
    note: str = ""


class Narrow(Params, frozen=True, kw_only=True):
    """What the fallback takes: another size, and no seed."""

    prompt: Annotated[str, Meta(max_length=20)]
    size: Annotated[str, Meta(pattern="^[0-9]+x[0-9]+$")] | None = None
    quality: str = "plain"
    marks: tuple[Mark, ...] = ()
    extra: dict[str, Any] | None = None


class Vendor:
    """
    A service that is never submitted to here.

    Attributes:
        stops: The operations that it was asked to stop, with the job.
        refusal: Raised when asked to stop, or None.
    """

    def __init__(self, name: str, params: type[Params], *, timeout_s: float, kind: TaskType = TaskType.IMAGE) -> None:
        self.models: Sequence[Model] = (Model(name=name, type=kind, params=params, timeout_s=timeout_s),)
        self.stops: list[tuple[str, Job[Any]]] = []
        self.refusal: ProviderError | None = None

    async def submit(self, job: Job[Any]) -> Outcome:
        """Fail the test."""
        raise AssertionError(f"{job.task_id} was submitted")

    async def poll(self, job: Job[Any], operation: str) -> Outcome:
        """Go on."""
        return Pending(operation=operation, progress=None if job.attempt else 0.0)

    async def cancel(self, job: Job[Any], operation: str) -> None:
        """Note it, or refuse."""
        self.stops.append((operation, job))
        if self.refusal is not None:
            raise self.refusal

    async def aclose(self) -> None:
        """Nothing to close."""


class UseCaseFixture:
    """The use cases, over one record, one queue, one set of gates and one clock."""

    def __init__(
        self,
        *,
        quota_limits: QuotaLimits | None = None,
        tasks: MemoryTaskRepository | None = None,
        without_queue: bool = True,
    ) -> None:
        self.now = START
        self.tasks = tasks or MemoryTaskRepository()
        self.queue = MemoryWakeQueue(clock=self.clock)
        self.gates = MemoryGates(clock=self.clock)
        self.used_signatures = MemoryUsedSignatures()
        self.quotas = MemoryQuotas(clock=self.clock)
        self.results = MemoryResultStore()
        self.first = Vendor("wide", Wide, timeout_s=60)
        self.second = Vendor("narrow", Narrow, timeout_s=600)
        self.film = Vendor("film", Wide, timeout_s=60, kind=TaskType.VIDEO)
        closed = Disabled(
            models=[Model(name="closed", type=TaskType.IMAGE, params=Wide, timeout_s=60)], reason="no key"
        )
        self.registry = Registry(
            [
                Provider("one", [self.first, self.film]),
                Provider("two", [self.second]),
                Provider("shut", [closed]),
            ]
        )
        need_queue = None if without_queue else self.queue.ping
        task_quotas = TaskQuotas(self.quotas, self.tasks, quota_limits or QuotaLimits(), need_queue=need_queue)
        self.create_task = CreateTask(
            self.tasks, self.queue, self.registry, self.clock, task_quotas, redact=redaction()
        )
        self.recorder = Recorder(self.tasks, self.queue, self.quotas)
        self.cancel = CancelTask(
            tasks=self.tasks, queue=self.queue, gates=self.gates, quotas=self.quotas, clock=self.clock
        )
        self.retry = RetryTask(self.tasks, self.queue, self.registry, self.clock, task_quotas)
        self.delete = DeleteTask(
            tasks=self.tasks,
            results=self.results,
            registry=self.registry,
            queue=self.queue,
            gates=self.gates,
            quotas=self.quotas,
            calls=VendorCalls(self.tasks.audit, clock=self.clock, source="api", redact=redaction()),
            used_signatures=self.used_signatures,
            clock=self.clock,
        )

    async def create(self, task_type: TaskType, body: Mapping[str, Any], caller: Caller = ANYBODY) -> Task:
        """Create a task; returns it as stored."""
        return (await self.create_task(task_type, body, caller)).task

    def clock(self) -> datetime:
        """Now."""
        return self.now

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    async def stored(self, **fields: Any) -> Task:
        """Store a task; in a state at the vendor or later it has an attempt."""
        state = fields.get("state", State.PENDING)
        defaults: dict[str, Any] = {
            "id": new_task_id(self.now),
            "type": TaskType.IMAGE,
            "provider": "one",
            "model": "wide",
            "user_id": "ada",
            "created": self.now,
            "updated": self.now,
            "deadline": self.now + timedelta(seconds=60),
            "wake_at": None if state.final else self.now,
            "attempts": () if state is State.PENDING else (attempt_of(state, self.now),),
        }
        task = Task(**{**defaults, **fields})
        await self.tasks.add(task, {"prompt": "a fox", "size": "2K"})
        return task

    def ticket(self, task: Task, *gates: Gate) -> Ticket:
        """What the task needs to be submitted."""
        return Ticket(
            task_id=task.id,
            account="one",
            gates=gates,
            priority=task.priority,
            since=task.created,
            held_until=task.deadline,
        )


def attempt_of(state: State, now: datetime, **fields: Any) -> Attempt:
    """The first attempt of a task in that state."""
    taken = state not in {State.SUBMITTING, State.FAILED}
    ended = state not in {State.SUBMITTING, State.WAITING}
    defaults: dict[str, Any] = {
        "number": 1,
        "provider": "one",
        "model": "wide",
        "started": now,
        "accepted": now if taken else None,
        "operation": "op-1" if taken else None,
        "ended": now if ended else None,
    }
    return Attempt(**{**defaults, **fields})


UNKNOWN = Failure(code="outcome_unknown", message="the answer was lost")
REFUSED = Failure(code="content_blocked", message="the vendor said no")
FALLBACK = Choice(provider="two", model="narrow", params={"size": "512x512"})
BODY = {"provider": "one", "model": "wide", "user_id": "ada", "prompt": "a fox", "size": "2K"}
