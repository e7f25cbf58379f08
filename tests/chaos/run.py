"""One run: everything started, loaded, broken, mended, waited for, and judged."""

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
from tests.chaos.evidence import Evidence, Rules
from tests.chaos.fault_injection import Havoc
from tests.chaos.invariants import violations
from tests.chaos.load import Load
from tests.chaos.outages import outages
from tests.chaos.recorders import Histories, Ledger
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
_LOOK_S: Final = 0.2
_SLACK_S: Final = 10.0


class Options(Struct, frozen=True, kw_only=True):
    """
    What a run is like.

    Attributes:
        seconds: How long tasks are created and things break.
        seed: Of the plan.
        rate: Tasks a second.
        workers: How many.
        deadline_s: Each task's time, least and most, in seconds.
        calm_s: Mean time between two blows to processes, in seconds.
        longest_s: How long a process stays away at most, in seconds.
        drain_s: How long the queue may take to become empty, in seconds: a killed worker's claims stay for a minute.
    """

    seconds: float
    seed: int
    rate: float = 6.0
    workers: int = 2
    deadline_s: tuple[float, float] = (12.0, 40.0)
    calm_s: float = 4.0
    longest_s: float = 4.0
    drain_s: float = 90.0

    @property
    def rules(self) -> Rules:
        """What counts as late: lease, reconciler and one answer of the vendor, and a slow machine."""
        return Rules(grace_s=3.0 + 1.0 + 3.0 + _SLACK_S)


class Outcome(Struct, frozen=True, kw_only=True):
    """The report of a run and what it is drawn from."""

    report: Report
    evidence: Evidence


async def run(options: Options, folder: Path) -> Outcome:
    """Do one run; its data and logs stay in the folder."""
    stack = Stack(folder, env=SETTINGS, workers=options.workers, simulator_args=SIMULATOR)
    async with AsyncExitStack() as closing:
        await closing.enter_async_context(stack)
        run_ = await _Run.prepared(options, stack, closing)
        return await run_.whole()


class _Run:
    """The parts of one run."""

    def __init__(
        self, *, options: Options, stack: Stack, database: Database, redis: Redis, http: httpx.AsyncClient
    ) -> None:
        orders = plan.orders(
            seed=options.seed, seconds=options.seconds, rate=options.rate, deadline_s=options.deadline_s
        )
        self._options = options
        self._stack = stack
        self._database = database
        self._redis = redis
        self._load = Load(http, orders)
        self._havoc = Havoc(stack, http, redis)
        self._histories = Histories(database)
        self._ledger = Ledger(http, stack.simulator_url or "")

    @classmethod
    async def prepared(cls, options: Options, stack: Stack, closing: AsyncExitStack) -> "_Run":
        """With all connections made."""
        database = connect_mongo(stack.mongo_url)
        closing.callback(database.client.close)
        redis = Redis.from_url(stack.redis_url)
        closing.push_async_callback(redis.aclose)
        http = await closing.enter_async_context(
            httpx.AsyncClient(base_url=stack.api_url, trust_env=False, limits=_NO_LIMITS)
        )
        return cls(options=options, stack=stack, database=database, redis=redis, http=http)

    async def whole(self) -> Outcome:
        """Break, mend, wait, judge."""
        await self._histories.prepare()
        async with _meanwhile(self._histories.follow, self._ledger.follow, self._havoc.watch):
            await self._chaos()
            await self._calm()
            await self._ledger.read()
            await self._histories.caught_up()
            evidence = await self._evidence()
        options = self._options
        report = Report(
            seed=options.seed,
            seconds=options.seconds,
            command=f"make chaos SECONDS={options.seconds:g} SEED={options.seed} RATE={options.rate:g}",
            counts=counts_of(evidence, self._load.answers, self._havoc.log),
            violations=violations(evidence),
            log=self._havoc.log,
        )
        return Outcome(report=report, evidence=evidence)

    async def _chaos(self) -> None:
        options = self._options
        blows = plan.blows(
            seed=options.seed,
            seconds=options.seconds,
            workers=self._stack.workers,
            calm_s=options.calm_s,
            longest_s=options.longest_s,
        )
        async with asyncio.TaskGroup() as both:
            both.create_task(self._load.run())
            both.create_task(self._havoc.deal(blows))

    async def _calm(self) -> None:
        """Wait until all has ended and is cleared up; what has not in time is for the invariants to find."""
        rules = self._options.rules
        longest_s = self._options.deadline_s[1] + rules.grace_s + rules.storing_s
        await _until(self._all_ended, within_s=longest_s)
        await _until(self._gates_empty, within_s=rules.grace_s)
        await _until(self._queues_empty, within_s=self._options.drain_s)

    async def _all_ended(self) -> bool:
        """Whether no task is open, or one is later than it may be."""
        deadline = await final_state.latest_deadline(self._database)
        rules = self._options.rules
        late = timedelta(seconds=rules.grace_s + rules.storing_s)
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
            rules=self._options.rules,
            receipts=self._load.receipts,
            wishes=self._load.wishes,
            tasks=await final_state.all_tasks(self._database),
            histories=self._histories.found,
            submits=self._ledger.submits,
            calls=sorted(self._ledger.calls),
            keys=await final_state.all_keys(self._redis),
            holders=await final_state.held_tasks(self._redis),
            lines=await final_state.wait_queue_lengths(self._redis),
            files=final_state.file_names(self._stack.folder / "results"),
            deaths=self._havoc.deaths,
            outages=outages(self._havoc.unavailable, workers=self._stack.workers),
        )


@asynccontextmanager
async def _meanwhile(*works: Callable[[], Awaitable[Any]]) -> AsyncIterator[None]:
    """These run as long as the block does; the failure of one ends the block."""
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
                await asyncio.sleep(_LOOK_S)
