"""
One step of one task: what a worker does when it is woken.

The record is read, one thing is done (submit, or poll, or copy results), the outcome is recorded by compare-and-set and
the next wake is set. A wake that comes twice, too early or too late does no harm.

What may die where:

- before `submitting` is on record: nothing happened; the task is still pending.
- after it, until the vendor's answer is on record: the lease runs out and the task fails with `outcome_unknown`. It is
  never submitted again by itself, except where the model says that a repeated submit does nothing.
- while the database is away: the step asks it again until what the vendor did is on record.
- while waiting or storing: somebody else polls or copies again, which costs nothing.
"""

from datetime import datetime, timedelta
from typing import Final

import structlog

from core import life
from core.errors import InvalidRequest, Stale, StoreUnavailable, TaskNotFound
from core.failures import failure_of
from core.ports import Clock, Dice, TaskRepository, WakeQueue
from core.registry import Registry, Route
from core.retries import copy_again_at, poll_again_at, retry_at
from core.tasks import Failure, State, Task
from polyrelay import (
    Done,
    GenerationFailed,
    Outcome,
    OutcomeUnknown,
    Pending,
    ProtocolError,
    ProviderError,
    Unavailable,
)
from services.asking import InputNotTaken, asked, job_of
from services.leases import Leases
from services.recorder import Recorder, persistently
from services.results import CopyFailed, LinkGone, Results

EARLY: Final = timedelta(seconds=0.5)
"""A wake may be that much early: the clocks of two machines differ."""

FASTEST_POLL_S: Final = 0.05
SLOWEST_POLL_S: Final = 300.0

LAST_ANSWER_S: Final = 30.0
"""A provider that still works on its answer at the deadline is given up on that much later."""

log = structlog.get_logger("polyrelay.advance")


class Advance:
    """
    Moves a task one step on.

    Args:
        tasks: The record.
        queue: For the next wake.
        registry: Where models are served.
        results: Where outputs go.
        clock: Now.
        dice: For jitter.
        leases: Those of this worker, which it renews while the step runs.
        lease_s: How long a lease lasts that is not renewed, in seconds.
    """

    def __init__(
        self,
        *,
        tasks: TaskRepository,
        queue: WakeQueue,
        registry: Registry,
        results: Results,
        clock: Clock,
        dice: Dice,
        leases: Leases,
        lease_s: float,
    ) -> None:
        self._tasks = tasks
        self._recorder = Recorder(tasks, queue)
        self._registry = registry
        self._results = results
        self._clock = clock
        self._dice = dice
        self._leases = leases
        self._lease_s = lease_s

    async def __call__(self, task_id: str) -> None:
        """
        Do the task's next step, if one is due.

        Raises:
            StoreUnavailable: Before the provider was asked; wake it again later.
        """
        with structlog.contextvars.bound_contextvars(task_id=task_id):
            try:
                task = await self._tasks.get(task_id)
                await self._step(task)
            except TaskNotFound:
                log.info("task_gone")
            except Stale:
                log.info("task_moved_by_another")

    async def _step(self, task: Task) -> None:
        now = self._clock()
        if task.state.final:
            return
        if task.state is State.SUBMITTING:
            if life.lease_ran_out(task, now):
                await self._abandoned(task)
            return
        if task.wake_at is not None and task.wake_at > now + EARLY:
            return  # the wake of that moment is queued, or the reconciler sends it
        if task.state is State.STORING:
            await self._store(task)
        elif (route := self._route(task)) is not None and (task.state is State.WAITING or now < task.deadline):
            await (self._submit(task, route) if task.state is State.PENDING else self._poll(task, route))
        elif now >= task.deadline:
            await self._out_of_time(task)

    def _route(self, task: Task) -> Route | None:
        """Where the task is served, or None where this worker must leave it to others."""
        try:
            route = self._registry.route(task.provider, task.model)
        except InvalidRequest as error:
            log.warning("task_left_to_other_workers", reason=str(error))
            return None
        if route.unavailable is not None:
            log.warning("task_left_to_other_workers", reason=route.unavailable)
            return None
        return route

    async def _submit(self, task: Task, route: Route) -> None:
        try:
            job = job_of(task, await self._tasks.get_input(task.id), route.model.params, len(task.attempts) + 1)
        except InputNotTaken as error:
            failure = Failure(code="invalid_input", message=str(error))
            await self._recorder.record(life.ended_unhappily(task, failure, again_at=None, now=self._clock()))
            return
        with self._leases.held() as owner:
            task = life.begun(
                task,
                provider=task.provider,
                model=task.model,
                owner=owner,
                lease_s=self._lease_s,
                now=self._clock(),
            )
            await self._recorder.claim(task)
            log.info("submit_started", provider=task.provider, model=task.model, attempt=task.attempt.number)
            try:
                outcome = await asked(lambda: route.service.submit(job), within_s=self._patience_s(task))
            except ProviderError as error:
                await self._submit_failed(task, error, idempotent=route.model.idempotent_submit)
            else:
                await self._outcome(task, outcome)

    async def _submit_failed(self, task: Task, error: ProviderError, *, idempotent: bool) -> None:
        now = self._clock()
        again_at = retry_at(
            error,
            attempts=len(task.attempts),
            accepted=life.accepted_count(task) + isinstance(error, GenerationFailed),
            idempotent=idempotent,
            now=now,
            deadline=task.deadline,
            dice=self._dice,
        )
        await self._recorder.record(life.ended_unhappily(task, _failure_of_submit(error), again_at=again_at, now=now))

    async def _abandoned(self, task: Task) -> None:
        """The worker that submitted did not come back."""
        error = OutcomeUnknown(
            "the worker that submitted the task stopped before the answer was on record; "
            "the vendor may have accepted and billed it"
        )
        try:
            idempotent = self._registry.route(task.provider, task.model).model.idempotent_submit
        except InvalidRequest:
            idempotent = False
        await self._submit_failed(task, error, idempotent=idempotent)

    async def _poll(self, task: Task, route: Route) -> None:
        operation = task.attempt.operation or ""
        try:
            job = job_of(task, await self._tasks.get_input(task.id), route.model.params, task.attempt.number)
            outcome = await asked(lambda: route.service.poll(job, operation), within_s=self._patience_s(task))
        except InputNotTaken as error:
            # A worker of another version may still poll it, and a paid generation is at stake.
            await self._poll_failed(task, Unavailable(str(error)))
        except ProviderError as error:
            await self._poll_failed(task, error)
        else:
            await self._outcome(task, outcome)

    async def _poll_failed(self, task: Task, error: ProviderError) -> None:
        now, failure = self._clock(), failure_of(error)
        failures = task.attempt.poll_failures + 1
        poll_at = poll_again_at(error, failures=failures, now=now, dice=self._dice)
        if poll_at is not None and now >= task.deadline:
            await self._out_of_time(task)
            return
        if poll_at is not None:
            log.warning("poll_missed", code=failure.code, reason=failure.message, failures=failures)
            await self._recorder.record(
                life.poll_missed(task, failure, poll_at=_until_deadline(poll_at, task, now), now=now)
            )
            return
        again_at = retry_at(
            error,
            attempts=len(task.attempts),
            accepted=life.accepted_count(task),
            idempotent=False,
            now=now,
            deadline=task.deadline,
            dice=self._dice,
        )
        await self._recorder.record(life.ended_unhappily(task, failure, again_at=again_at, now=now))

    async def _outcome(self, task: Task, outcome: Outcome) -> None:
        now = self._clock()
        match outcome:
            case Pending() if task.state is State.WAITING and now >= task.deadline:
                await self._out_of_time(task)
            case Pending():
                poll_at = _until_deadline(now + _poll_interval(outcome), task, now)
                step = life.polled if task.state is State.WAITING else life.accepted
                await self._recorder.record(step(task, outcome, poll_at=poll_at, now=now))
            case Done():
                await self._done(task, outcome)

    def _patience_s(self, task: Task) -> float:
        """How long the provider may take for one answer, so that the task ends on time, in seconds."""
        return max((task.deadline - self._clock()).total_seconds(), 0.0) + LAST_ANSWER_S

    async def _out_of_time(self, task: Task) -> None:
        """The deadline passed; an operation was polled one last time."""
        failure = _deadline_failure(task)
        await self._recorder.record(life.ended_unhappily(task, failure, again_at=None, now=self._clock()))

    async def _done(self, task: Task, done: Done) -> None:
        results = await persistently(lambda: self._results.take(task, done))
        now = self._clock()
        if not self._results.to_copy(results):
            await self._recorder.record(life.finished(task, results, done.usage, now=now))
            return
        with self._leases.held() as owner:
            task = life.storing_begun(task, results, done.usage, owner=owner, lease_s=self._lease_s, now=now)
            await self._recorder.record(task)
            await self._copy(task)

    async def _store(self, task: Task) -> None:
        if not life.lease_ran_out(task, self._clock()):
            return
        if task.lease is not None:  # counted, since a result may be what kills its workers
            await self._copy_failed(task, CopyFailed("the worker that copied it stopped"))
            return
        with self._leases.held() as owner:
            task = life.storing_taken(task, owner=owner, lease_s=self._lease_s, now=self._clock())
            await self._recorder.claim(task)
            await self._copy(task)

    async def _copy(self, task: Task) -> None:
        try:
            results = await self._results.copy(task)
        except LinkGone as error:
            failure = Failure(code="result_lost", message=f"the result could not be stored: {error}")
            await self._recorder.record(life.ended_unhappily(task, failure, again_at=None, now=self._clock()))
        except (CopyFailed, StoreUnavailable) as error:
            await self._copy_failed(task, error)
        else:
            await self._recorder.record(life.stored(task, results, now=self._clock()))

    async def _copy_failed(self, task: Task, error: Exception) -> None:
        now = self._clock()
        failures = task.attempt.copy_failures + 1
        again_at = copy_again_at(failures=failures, now=now, dice=self._dice)
        log.warning("copy_failed", reason=str(error), failures=failures)
        if again_at is None:
            await self._recorder.record(life.stored(task, task.results, now=now))
        else:
            await self._recorder.record(life.storing_postponed(task, again_at=again_at, now=now))


def _failure_of_submit(error: ProviderError) -> Failure:
    """After a submit, a damaged answer leaves the outcome as unknown as a missing one."""
    if isinstance(error, ProtocolError):
        error = OutcomeUnknown(
            f"{error.message}; the vendor may have accepted and billed the request",
            code=error.code,
            http_status=error.http_status,
            request_id=error.request_id,
        )
    return failure_of(error)


def _deadline_failure(task: Task) -> Failure:
    last = task.attempts[-1].failure if task.attempts else None
    because = f"; last: {last.message}" if last else ""
    return Failure(
        code="deadline_exceeded",
        message=f"the task did not end by its deadline, {task.deadline.isoformat(timespec='seconds')}{because}",
    )


def _poll_interval(pending: Pending) -> timedelta:
    return timedelta(seconds=min(SLOWEST_POLL_S, max(FASTEST_POLL_S, pending.poll_after_s)))  # in this order for NaN


def _until_deadline(moment: datetime, task: Task, now: datetime) -> datetime:
    """Not after the deadline, so that the task ends on time, and not before now."""
    return max(now, min(moment, task.deadline))
