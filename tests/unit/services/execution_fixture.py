"""Execution fixture: real steps over in-memory adapters, a clock that tests move, and a scripted vendor."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import httpx

from core.errors import StoreUnavailable
from core.random_ids import new_task_id
from core.redaction import redaction
from core.registry import Registry
from core.retries import RetryPolicy
from core.tasks import Task
from core.wakes import Wake
from polyrelay import Disabled, Done, Job, Model, Outcome, Params, Pending, Provider, Service, TaskType, TextOutput
from services.execution.attempt_failures import AttemptFailures
from services.execution.leases import Leases
from services.execution.link_copies import LinkCopies
from services.execution.poll import PollStep
from services.execution.reconciler import Reconciler
from services.execution.recorder import Recorder
from services.execution.result_copies import ResultCopier
from services.execution.routing import Router
from services.execution.step import TaskStep
from services.execution.submit import SubmitStep
from services.execution.vendor_audit import VendorCalls
from services.execution.vendor_cancel import CancelStep
from services.limits.admission import Admissions, GateLimits, TaskWaker
from services.limits.gate_reconciler import GateReconciler
from tests.fakes.gates import MemoryGates
from tests.fakes.quotas import MemoryQuotas
from tests.fakes.result_store import MemoryResultStore
from tests.fakes.tasks import MemoryTaskRepository
from tests.fakes.wakes import MemoryWakeQueue

START: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE_S: Final = 30.0
TEXT: Final = Done(outputs=(TextOutput(text="hello", finish_reason="stop"),))

Line: TypeAlias = Outcome | BaseException | Callable[[], Any]
"""What the vendor answers, what it raises, or what is called (and awaited, if it can be) for an answer."""


class Drawn(Params, frozen=True):
    """What the scripted model takes."""

    prompt: str


class ScriptedService:
    """
    A service that plays a list of lines: one for each submit, one for each poll; the last one is repeated.

    Attributes:
        submits: The jobs that were submitted.
        polls: The operations that were asked for.
    """

    def __init__(self, *, submit: Sequence[Line], poll: Sequence[Line] = (), idempotent: bool = False) -> None:
        self.models = (
            Model(name="pen-1", type=TaskType.IMAGE, params=Drawn, timeout_s=3600, idempotent_submit=idempotent),
        )
        self.submits: list[Job[Any]] = []
        self.polls: list[str] = []
        self._submit_lines = list(submit)
        self._poll_lines = list(poll)

    async def submit(self, job: Job[Any]) -> Outcome:
        """Return or raise the next line for a submit."""
        self.submits.append(job)
        return await _played(self._submit_lines)

    async def poll(self, _: Job[Any], operation: str) -> Outcome:
        """Return or raise the next line for a poll."""
        self.polls.append(operation)
        return await _played(self._poll_lines)

    async def aclose(self) -> None:
        """Nothing to close."""


class FaultyRepository(MemoryTaskRepository):
    """
    A repository whose saves fail as they are told to.

    Attributes:
        faults: For each save to come: None works, "lost" is not done, "unanswered" is done and reported as not done.
        saves: Versions that were stored, in order.
        refusals: How often a call was refused.
    """

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str | None] = []
        self.saves: list[Task] = []
        self.refusals = 0
        self.on_refusal = asyncio.Event()

    async def save(self, task: Task) -> None:
        """Save, or fail as `faults` says."""
        fault = self.faults.pop(0) if self.faults else None
        if fault == "lost":
            self._refuse()
        if not self.reachable:
            self.on_refusal.set()
        await super().save(task)
        self.saves.append(task)
        if fault == "unanswered":
            self._refuse()

    def _refuse(self) -> None:
        self.refusals += 1
        self.on_refusal.set()
        raise StoreUnavailable("the answer was lost, as the test wanted it")


class ExecutionFixture:
    """Everything that a step needs, over one repository, one queue and one clock."""

    def __init__(
        self,
        service: Service | Disabled | None = None,
        *,
        copies: bool = True,
        limits: GateLimits | None = None,
        others: Sequence[Provider] = (),
    ) -> None:
        self.now = START
        self.tasks = FaultyRepository()
        self.queue = MemoryWakeQueue(clock=self.clock)
        self.store = MemoryResultStore()
        self.links: dict[str, Callable[[], httpx.Response]] = {}
        self.registry = Registry([*([] if service is None else [Provider("studio", [service])]), *others])
        self.gates = MemoryGates(clock=self.clock)
        self.quotas = MemoryQuotas(clock=self.clock)
        self.waker = TaskWaker(self.tasks, self.queue, self.clock)
        self.admissions = Admissions(self.gates, self.waker, limits or GateLimits())
        self._copies = copies
        self._workers = 0
        self.step = self.worker()
        self.reconciler = self.reconciler_of(self.leases)

    def clock(self) -> datetime:
        """The fixture's time."""
        return self.now

    def worker(self) -> TaskStep:
        """The step of another worker."""
        self._workers += 1
        name = f"worker-{self._workers}"
        self.leases = leases = Leases(name, lease_s=LEASE_S)
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._link), follow_redirects=True)
        retries = RetryPolicy(clock=self.clock, random_source=lambda: 0.5)
        recorder = Recorder(self.tasks, self.queue, self.quotas)
        calls = VendorCalls(self.tasks.audit, clock=self.clock, source=name, redact=redaction())
        router = Router(self.tasks, self.registry, self.admissions, self.clock)
        failures = AttemptFailures(recorder, self.admissions, retries)
        result_copier = ResultCopier(
            recorder=recorder,
            store=self.store,
            links=LinkCopies(store=self.store, http=http),
            copies=self._copies,
            retries=retries,
            leases=leases,
        )
        return TaskStep(
            tasks=self.tasks,
            recorder=recorder,
            admissions=self.admissions,
            submit=SubmitStep(
                router=router,
                recorder=recorder,
                calls=calls,
                result_copier=result_copier,
                failures=failures,
                leases=leases,
                retries=retries,
            ),
            poll=PollStep(
                tasks=self.tasks,
                router=router,
                admissions=self.admissions,
                calls=calls,
                recorder=recorder,
                result_copier=result_copier,
                failures=failures,
                retries=retries,
            ),
            cancel=CancelStep(
                tasks=self.tasks,
                registry=self.registry,
                router=router,
                calls=calls,
                recorder=recorder,
                admissions=self.admissions,
                clock=self.clock,
            ),
            result_copier=result_copier,
            leases=leases,
            clock=self.clock,
        )

    def reconciler_of(self, leases: Leases) -> Reconciler:
        """The reconciler of the worker with those leases."""
        return Reconciler(
            tasks=self.tasks, queue=self.queue, gates=self.gates, clock=self.clock, leases=leases, patience_s=5.0
        )

    def gate_reconciler(self) -> GateReconciler:
        """The gate reconciler."""
        return GateReconciler(
            tasks=self.tasks,
            gates=self.gates,
            admissions=self.admissions,
            waker=self.waker,
            registry=self.registry,
        )

    async def new_task(
        self, *, deadline_s: float = 3600.0, task_input: dict[str, Any] | None = None, **fields: Any
    ) -> str:
        """Store a pending task and queue its wake; returns its id."""
        task = Task(
            **{
                "id": new_task_id(self.now),
                "type": TaskType.IMAGE,
                "provider": "studio",
                "model": "pen-1",
                "user_id": "u1",
                "created": self.now,
                "updated": self.now,
                "deadline": self.now + timedelta(seconds=deadline_s),
                "wake_at": self.now,
                **fields,
            }
        )
        await self.tasks.add(task, {"prompt": "a cat"} if task_input is None else task_input)
        await self.queue.wake(task.id, at=self.now)
        return task.id

    async def play_due(self) -> None:
        """Run a step for each wake that is due."""
        for wake in self.queue.take_due(self.now):
            await self.run_step(wake)

    async def run_step(self, wake: Wake, step: TaskStep | None = None) -> None:
        """Run the step for that wake, and put the wake back if the step says so."""
        name = self.queue.name_of(wake.task_id, wake.at)
        again_in_s = await (step or self.step)(wake.task_id, name)
        if again_in_s is not None:
            self.queue.put_back[wake] = self.now + timedelta(seconds=again_in_s)

    async def play(self, *, steps: int = 200) -> None:
        """Move the clock from wake to wake until none is left."""
        for _ in range(steps):
            at = self.queue.next_at()
            if at is None:
                return
            self.now = max(self.now, at)
            await self.play_due()
        raise AssertionError(f"wakes still come after {steps} steps")

    def later(self, seconds: float) -> None:
        """Move the clock."""
        self.now += timedelta(seconds=seconds)

    async def task(self, task_id: str) -> Task:
        """The stored task."""
        return await self.tasks.get(task_id)

    def _link(self, request: httpx.Request) -> httpx.Response:
        return self.links[str(request.url)]()


def pending(operation: str = "op-1", **fields: Any) -> Pending:
    """The outcome of an operation that is not done."""
    return Pending(operation=operation, **fields)


async def _played(lines: list[Line]) -> Outcome:
    line = lines.pop(0) if len(lines) > 1 else lines[0]
    step = asyncio.current_task()
    if isinstance(line, asyncio.CancelledError) and step is not None:
        step.cancel()  # as a worker's end does; one that a plugin raises by itself is the plugin's defect
        await asyncio.sleep(0)
    if isinstance(line, BaseException):
        raise line
    answer = line() if callable(line) else line
    return await answer if asyncio.iscoroutine(answer) else answer
