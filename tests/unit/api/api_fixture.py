"""A small provider and tasks in every state, for tests of the API."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, structs

from api.dependencies import Adapters
from core.attempts import Attempt, Failure
from core.random_ids import new_task_id
from core.registry import PluginReport, Registry
from core.task_states import State
from core.tasks import Result, Task
from polyrelay import Disabled, Job, Model, Outcome, Params, Pending, Provider, TaskType, Usage
from tests.fakes.access import MemoryKeys, MemoryUsedSignatures, MemoryUsers
from tests.fakes.announcements import MemoryAnnouncements
from tests.fakes.audit import MemoryAuditLog
from tests.fakes.control import MemoryControlStore
from tests.fakes.gates import MemoryGates
from tests.fakes.quotas import MemoryQuotas
from tests.fakes.rates import MemoryRates
from tests.fakes.result_store import MemoryResultStore
from tests.fakes.tasks import MemoryTaskRepository
from tests.fakes.wakes import MemoryWakeQueue

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
GOOD = {"provider": "lab", "model": "painter", "user_id": "ada", "prompt": "a fox"}


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One message of a conversation."""

    role: Literal["system", "user"]
    content: str
    name: str | None = None


class PainterParams(Params, frozen=True, kw_only=True):
    """What the painter takes."""

    prompt: Annotated[str, Meta(min_length=1, max_length=800)]
    size: Literal["512x512", "1024x1024"] | None = None
    seed: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    image_urls: tuple[Annotated[str, Meta(pattern="^https?://", description="A link.")], ...] = ()
    extra: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.image_urls:
            raise ValueError("size goes only without image_urls")


class WriterParams(Params, frozen=True, kw_only=True):
    """What the writer takes."""

    prompt: str | None = None
    messages: tuple[Message, ...] = ()
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None


MODELS = (
    Model(name="painter", type=TaskType.IMAGE, params=PainterParams, timeout_s=120, description="Paints."),
    Model(name="filmer", type=TaskType.VIDEO, params=PainterParams, timeout_s=900),
    Model(name="writer", type=TaskType.TEXT, params=WriterParams, timeout_s=60, deprecated=date(2026, 3, 1)),
)


class UncalledService:
    """Never called by the API."""

    models: Sequence[Model] = MODELS

    async def submit(self, job: Job[Any]) -> Outcome:
        """Accept."""
        return Pending(operation=job.task_id)

    async def poll(self, job: Job[Any], operation: str) -> Outcome:  # noqa: ARG002
        """Not yet."""
        return Pending(operation=operation)

    async def aclose(self) -> None:
        """Nothing to close."""


def api_registry() -> Registry:
    """A provider that works, one without credentials, and a plugin that failed."""
    closed = Disabled(models=[structs.replace(MODELS[0], name="sculptor")], reason="SHED_KEY is not set")
    reports = (
        PluginReport(name="lab-plugin", package="lab-package", version="1.2.3", providers=("lab", "shed")),
        PluginReport(name="broken", package="broken-package", version="0.1", error="ImportError: no module named lab9"),
    )
    return Registry([Provider("lab", [UncalledService()]), Provider("shed", [closed])], reports)


class ApiFixture(Struct, frozen=True, kw_only=True):
    """The in-memory adapters that the API under test works with, and a clock that stands still."""

    tasks: MemoryTaskRepository
    queue: MemoryWakeQueue
    results: MemoryResultStore
    gates: MemoryGates
    quotas: MemoryQuotas
    rates: MemoryRates
    announcements: MemoryAnnouncements
    control: MemoryControlStore
    audit: MemoryAuditLog
    registry: Registry
    keys: MemoryKeys
    users: MemoryUsers
    used_signatures: MemoryUsedSignatures

    def adapters(self) -> Adapters:
        """All of them, as the API takes them."""
        return Adapters(
            tasks=self.tasks,
            queue=self.queue,
            results=self.results,
            gates=self.gates,
            quotas=self.quotas,
            rates=self.rates,
            announcements=self.announcements,
            registry=self.registry,
            control=self.control,
            audit=self.audit,
            keys=self.keys,
            users=self.users,
            used_signatures=self.used_signatures,
            follow=self.follow,
            clock=lambda: NOW,
        )

    async def follow(self) -> None:
        """Switch the providers as was decided."""
        self.registry.switches = (await self.control.read()).switches

    async def stored(self, task: Task) -> Task:
        """Store the task as it is."""
        await self.tasks.add(structs.replace(task, version=1), {"prompt": "a fox"})
        for version in range(2, task.version + 1):
            await self.tasks.save(structs.replace(task, version=version))
        return task


def new_api_fixture() -> ApiFixture:
    """Empty in-memory adapters."""
    audit = MemoryAuditLog()
    return ApiFixture(
        tasks=MemoryTaskRepository(audit),
        queue=MemoryWakeQueue(clock=lambda: NOW),
        results=MemoryResultStore(),
        gates=MemoryGates(clock=lambda: NOW),
        quotas=MemoryQuotas(clock=lambda: NOW),
        rates=MemoryRates(clock=lambda: NOW),
        announcements=MemoryAnnouncements(),
        control=MemoryControlStore(),
        audit=audit,
        registry=api_registry(),
        keys=MemoryKeys(),
        users=MemoryUsers(),
        used_signatures=MemoryUsedSignatures(),
    )


def a_task(*, age_s: float = 0, **fields: Any) -> Task:
    """A pending task that was created `age_s` seconds ago."""
    created = NOW - timedelta(seconds=age_s)
    task = Task(
        id=new_task_id(created),
        type=TaskType.IMAGE,
        provider="lab",
        model="painter",
        user_id="ada",
        prompt="a fox",
        created=created,
        updated=created,
        deadline=created + timedelta(seconds=120),
        wake_at=created,
    )
    return structs.replace(task, **fields)


def an_attempt(**fields: Any) -> Attempt:
    """The first attempt, under way."""
    attempt = Attempt(number=1, provider="lab", model="painter", started=NOW, operation="op-1", accepted=NOW)
    return structs.replace(attempt, **fields)


def completed(*results: Result, **fields: Any) -> Task:
    """A completed task with those results."""
    attempts = (an_attempt(ended=NOW),)
    usage = Usage(images=len(results))
    done: dict[str, Any] = {"state": State.COMPLETED, "wake_at": None, "attempts": attempts, "usage": usage}
    return a_task(**{**done, "results": results, **fields})


def failed(failure: Failure) -> Task:
    """A task that failed for that reason."""
    attempts = (an_attempt(ended=NOW, failure=failure),)
    return a_task(state=State.FAILED, wake_at=None, failure=failure, attempts=attempts)
