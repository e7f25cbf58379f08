"""One run: start the stack, create tasks, inject faults, wait until all tasks end, check the invariants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
from msgspec import Struct
from redis.asyncio import Redis

from cli.embedded.stack import Stack
from core.clock import utc_now
from repositories.mongodb.client import Database, connect_mongo
from tests.chaos import final_state, plan
from tests.chaos.evidence import Evidence, TimeLimits
from tests.chaos.fault_injection import FaultInjector
from tests.chaos.invariants import violations
from tests.chaos.load import Load
from tests.chaos.outages import outages
from tests.chaos.recorders import TaskHistories, VendorRecords
from tests.chaos.report import Report, counts_of

SETTINGS: Final = {
    "LEASE_S": "3s",
    "RECONCILE_S": "1s",
    "POLL_SCALE": "0.05",
    "AI_TIMEOUT": "3s",
    "LOG_FORMAT": "json",
    "UPSTREAM_MAX_CONCURRENT": "openai=6",
    "MODEL_MAX_CONCURRENT": "jimeng_t2i_v30=2,doubao-pro-4k=3",
}
SIMULATOR: Final = ("--latency-image", "0.2", "--latency-video", "1.0", "--latency-text", "0.1")

_NO_LIMITS: Final = httpx.Limits(max_connections=None, max_keepalive_connections=20)
_PAUSE_S: Final = 0.2
_SLACK_S: Final = 10.0


class Options(Struct, frozen=True, kw_only=True):
    """
    The options of a run.

    Attributes:
        seconds: How long tasks are created and faults injected, in seconds.
        seed: Determines the plan.
        rate: Tasks a second.
        workers: Number of worker processes.
        deadline_s: Shortest and longest `deadline_s` of a task, in seconds.
        interval_s: Mean time between two process faults, in seconds.
        longest_outage_s: Longest outage of a process, in seconds.
        drain_s: Longest time until the wake queue is empty, in seconds; a killed worker's claims stay for a minute.
    """

    seconds: float
    seed: int
    rate: float = 6.0
    workers: int = 2
    deadline_s: tuple[float, float] = (12.0, 40.0)
    interval_s: float = 4.0
    longest_outage_s: float = 4.0
    drain_s: float = 90.0

    @property
    def limits(self) -> TimeLimits:
        """The limits: lease + reconcile period + `AI_TIMEOUT` of `SETTINGS`, and `_SLACK_S` for a slow machine."""
        return TimeLimits(grace_s=3.0 + 1.0 + 3.0 + _SLACK_S)


class Outcome(Struct, frozen=True, kw_only=True):
    """The report of a run and the evidence that it is made from."""

    report: Report
    evidence: Evidence


async def run(options: Options, folder: Path) -> Outcome:
    """Do one run; its data and logs are kept in the folder."""
    stack = Stack(folder, env=SETTINGS, workers=options.workers, simulator_args=SIMULATOR)
    async with AsyncExitStack() as closing:
        await closing.enter_async_context(stack)
        run_ = await _Run.prepared(options, stack, closing)
        return await run_.execute()


class _Run:
    """The parts of one run."""

    def __init__(
        self, *, options: Options, stack: Stack, database: Database, redis: Redis, http: httpx.AsyncClient
    ) -> None:
        planned_tasks = plan.planned_tasks(
            seed=options.seed, seconds=options.seconds, rate=options.rate, deadline_s=options.deadline_s
        )
        self._options = options
        self._stack = stack
        self._database = database
        self._redis = redis
        self._load = Load(http, planned_tasks)
        self._injector = FaultInjector(stack, http, redis)
        self._histories = TaskHistories(database)
        self._vendor_records = VendorRecords(http, stack.simulator_url or "")

    @classmethod
    async def prepared(cls, options: Options, stack: Stack, closing: AsyncExitStack) -> "_Run":
        """Open all connections; `closing` closes them."""
        database = connect_mongo(stack.mongo_url)
        closing.callback(database.client.close)
        redis = Redis.from_url(stack.redis_url)
        closing.push_async_callback(redis.aclose)
        http = await closing.enter_async_context(
            httpx.AsyncClient(base_url=stack.api_url, trust_env=False, limits=_NO_LIMITS)
        )
        return cls(options=options, stack=stack, database=database, redis=redis, http=http)

    async def execute(self) -> Outcome:
        """Create tasks under faults, wait until they end, and check the invariants."""
        await self._histories.prepare()
        async with _in_background(self._histories.follow, self._vendor_records.follow, self._injector.restart_exited):
            await self._create_under_faults()
            await self._settle()
            await self._vendor_records.read()
            await self._histories.caught_up()
            evidence = await self._evidence()
        options = self._options
        report = Report(
            seed=options.seed,
            seconds=options.seconds,
            command=f"make chaos SECONDS={options.seconds:g} SEED={options.seed} RATE={options.rate:g}",
            counts=counts_of(evidence, self._load.answers, self._injector.log),
            violations=violations(evidence),
            log=self._injector.log,
        )
        return Outcome(report=report, evidence=evidence)

    async def _create_under_faults(self) -> None:
        options = self._options
        faults = plan.planned_faults(
            seed=options.seed,
            seconds=options.seconds,
            workers=self._stack.workers,
            interval_s=options.interval_s,
            longest_outage_s=options.longest_outage_s,
        )
        async with asyncio.TaskGroup() as both:
            both.create_task(self._load.run())
            both.create_task(self._injector.inject(faults))

    async def _settle(self) -> None:
        """Wait until all tasks have ended and gates and queues are empty; the invariants report what is late."""
        limits = self._options.limits
        longest_s = self._options.deadline_s[1] + limits.grace_s + limits.storing_s
        await _until(self._all_ended, within_s=longest_s)
        await _until(self._gates_empty, within_s=limits.grace_s)
        await _until(self._queues_empty, within_s=self._options.drain_s)

    async def _all_ended(self) -> bool:
        """Whether no task is open, or the last open task is past its limit."""
        deadline = await final_state.latest_deadline(self._database)
        limits = self._options.limits
        late = timedelta(seconds=limits.grace_s + limits.storing_s)
        return deadline is None or utc_now() > deadline + late

    async def _gates_empty(self) -> bool:
        return not await final_state.held_tasks(self._redis) and not any(
            (await final_state.wait_queue_lengths(self._redis)).values()
        )

    async def _queues_empty(self) -> bool:
        return not any(key.members for key in await final_state.all_keys(self._redis))

    async def _evidence(self) -> Evidence:
        return Evidence(
            now=utc_now(),
            limits=self._options.limits,
            created=self._load.created,
            client_calls=self._load.client_calls,
            tasks=await final_state.all_tasks(self._database),
            histories=self._histories.versions,
            submits=self._vendor_records.submits,
            calls=sorted(self._vendor_records.calls),
            keys=await final_state.all_keys(self._redis),
            holders=await final_state.held_tasks(self._redis),
            wait_queues=await final_state.wait_queue_lengths(self._redis),
            files=final_state.file_names(self._stack.folder / "results"),
            unexpected_exits=self._injector.unexpected_exits,
            outages=outages(self._injector.process_outages, workers=self._stack.workers),
        )


@asynccontextmanager
async def _in_background(*works: Callable[[], Awaitable[Any]]) -> AsyncIterator[None]:
    """Run these during the block; a failure of one ends the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_coroutine(work)) for work in works]
        yield
        for task in tasks:
            task.cancel()


async def _coroutine(work: Callable[[], Awaitable[Any]]) -> None:
    await work()


async def _until(reached: Callable[[], Awaitable[bool]], *, within_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while not await reached():  # noqa: ASYNC110 - neither database sets an event
                await asyncio.sleep(_PAUSE_S)
