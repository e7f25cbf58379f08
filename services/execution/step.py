"""
One step of one task: what a worker does when it is woken.

The record is read, one thing is done (submit, or poll, or copy results), the outcome is recorded by compare-and-set and
the next wake is set. A wake that comes twice, too early or too late does no harm.

A poll that taught nothing is not recorded: its wake goes back to the queue for the next one, and `wake_at` stays where
it was. Only the wake of that `wake_at` goes back; any other polls once and is used up, so there is one chain of polls.

What may die where:

- before `submitting` is on record: nothing happened; the task is still pending. A gate that it holds is given up by
  upkeep.
- after it, until the vendor's answer is on record: the lease runs out and the task fails with `outcome_unknown`. It is
  never submitted again by itself, except where the model says that a repeated submit does nothing.
- while the database is away: the step asks it again until what the vendor did is on record.
- while waiting or storing: somebody else polls or copies again, which costs nothing.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from core import transitions
from core.attempts import Failure
from core.clock import Clock, RandomSource
from core.errors import AuditFailed, InvalidRequest, Stale, StoreUnavailable, TaskNotFound
from core.failures import deadline_failure, failure_of, failure_of_submit
from core.gates import Verdict
from core.registry import Registry, Route
from core.retries import poll_again_at, poll_interval, retry_at, takes_nothing, until_deadline
from core.task_repository import TaskRepository
from core.task_states import State
from core.tasks import Task, TaskInput, input_for
from polyrelay import (
    Cancels,
    Done,
    GenerationFailed,
    NotAccepted,
    Outcome,
    OutcomeUnknown,
    Pending,
    ProviderError,
    Unavailable,
)
from services.execution.leases import Leases
from services.execution.plugin_calls import InputNotTaken, asked, cancel_asked, job_of
from services.execution.recorder import Recorder
from services.execution.result_copies import ResultCopier
from services.execution.routing import Away, Chooser, Chosen, InWaitQueue, NotHere, NotNow
from services.execution.vendor_answers import Answers
from services.execution.vendor_audit import OTHER_WORKER, VendorCalls
from services.execution.vendor_cancel import LONGEST_ASK_S, vendor_stopped
from services.limits.admission import Admissions, Door, Places

EARLY: Final = timedelta(seconds=0.5)
"""A wake may be that much early: the clocks of two machines differ."""

LAST_ANSWER_S: Final = 30.0
"""A provider that still works on its answer at the deadline is given up on that much later."""

STOPPED: Final = "cancelled; the vendor confirmed that it stopped"
NOT_STOPPED: Final = "cancelled; the vendor did not stop, or cannot be asked to: it may still finish and bill"

LONGEST_POLL_S: Final = 120.0
"""A poll that hangs is given up on after that time; it may be asked again."""

UNAVAILABLE_SPREAD_S: Final = 10.0
"""Tasks that wait for a vendor to come back ask again spread over that time, not all at once."""

log = structlog.get_logger(__name__)


class Advance:
    """
    Moves a task one step on.

    Args:
        tasks: The record.
        recorder: Puts on record what happened.
        registry: Where models are served.
        admissions: Lets tasks through to their vendors.
        places: What a task holds or waits for.
        storer: Takes what a provider made.
        calls: Puts calls to vendors on the audit log.
        answers: Keeps what a vendor answered, for relays.
        clock: Now.
        dice: For jitter.
        leases: Those of this worker, which it renews while the step runs.
        lease_s: How long a lease lasts that is not renewed, in seconds.
    """

    def __init__(
        self,
        *,
        tasks: TaskRepository,
        recorder: Recorder,
        registry: Registry,
        admissions: Admissions,
        places: Places,
        result_copier: ResultCopier,
        calls: VendorCalls,
        answers: Answers,
        clock: Clock,
        random_source: RandomSource,
        leases: Leases,
        lease_s: float,
    ) -> None:
        self._tasks = tasks
        self._recorder = recorder
        self._registry = registry
        self._admissions = admissions
        self._places = places
        self._chooser = Chooser(tasks, registry, admissions, clock)
        self._result_copier = result_copier
        self._calls = calls
        self._answers = answers
        self._clock = clock
        self._random_source = random_source
        self._leases = leases
        self._lease_s = lease_s

    async def __call__(self, task_id: str, wake: str | None = None) -> float | None:
        """
        Do the task's next step, if one is due.

        Args:
            task_id: Which.
            wake: The queue's name of the wake; None where nobody was woken.

        Returns:
            In how many seconds the same wake is to come again; None where it is used up.

        Raises:
            AuditFailed, StoreUnavailable, QueueUnavailable: Before the provider was asked; wake it again later.
        """
        with structlog.contextvars.bound_contextvars(task_id=task_id):
            try:
                found = await self._tasks.get_with_input(task_id)
                again_in_s = await self._step(found.task, found.input)
            except TaskNotFound:
                log.info("task_not_found")
                await self._places.leave(task_id)
            except Stale:
                log.info("write_conflict")
            else:
                return again_in_s if self._recorder.wakes(found.task, wake) else None
        return None

    async def _step(self, task: Task, task_input: TaskInput | None) -> float | None:
        """
        One step; answers in how many seconds the next one is due, where that is not on record.

        The input is None where it is large and has to be read by itself.
        """
        now = self._clock()
        if task.state.final:
            await self._places.leave(task.id)  # it may still stand in a line
        elif task.state is State.SUBMITTING:
            if self._leases.ran_out(task, now):
                await self._abandoned(task)
        elif task.is_cancel_requested and task.state is not State.STORING:
            await self._cancel(task)
        elif task.wake_at is not None and task.wake_at > now + EARLY:
            return (task.wake_at - now).total_seconds()
        elif task.state is State.STORING:
            await self._result_copier.resume(task)
        elif task.state is State.WAITING:
            return await self._poll(task, task_input)
        else:
            await self._start(task, task_input)
        return None

    async def _start(self, task: Task, task_input: TaskInput | None) -> None:
        """A pending task: submit it to whoever takes it first."""
        now = self._clock()
        if now >= task.deadline:
            await self._out_of_time(task)
            return
        match await self._chooser.choose(task, task_input):
            case Chosen() as chosen:
                await self._submit(task, chosen)
            case InWaitQueue(gate=gate):
                log.debug("task_queued", gate=gate)
            case NotNow(again_at=again_at):
                await self._postpone(task, again_at)
            case Away(again_at=again_at):
                await self._postpone(task, again_at + timedelta(seconds=self._random_source() * UNAVAILABLE_SPREAD_S))
            case NotHere(reason=reason):
                log.warning("task_not_servable_here", reason=reason)

    async def _postpone(self, task: Task, again_at: datetime) -> None:
        now = self._clock()
        again_at = until_deadline(again_at, deadline=task.deadline, now=now)
        await self._recorder.record(transitions.postponed(task, again_at=again_at, now=now))

    async def _submit(self, task: Task, chosen: Chosen) -> None:
        with self._leases.held() as owner:
            begun = transitions.begun(task, choice=chosen.choice, owner=owner, lease_s=self._lease_s, now=self._clock())
            call = await self._calls.begin_submit(begun, chosen.job.params)
            try:
                await self._recorder.claim(begun)
            except Stale:
                call.not_made(OTHER_WORKER)
                return  # another worker submits it and holds the gates in its name
            except StoreUnavailable as error:
                call.not_made(error.code)
                raise
            attempt = begun.attempt
            log.info("submit_started", provider=attempt.provider, model=attempt.model, attempt=attempt.number)
            try:
                outcome = await call.made(lambda: self._submitted(begun, chosen))
            except ProviderError as error:
                await chosen.door.report(error)
                begun = await self._answers.kept(begun, error.answer)
                await self._submit_failed(begun, error, chosen.door, idempotent=chosen.route.model.idempotent_submit)
            else:
                begun = await self._answers.kept(begun, outcome.answer)
                try:
                    await self._settle(begun, outcome, chosen.door)
                except Stale:
                    await self._stop_unwanted(begun, outcome, chosen)
                    raise

    async def _submitted(self, task: Task, chosen: Chosen) -> Outcome:
        return await asked(lambda: chosen.route.service.submit(chosen.job), within_s=self._patience_s(task))

    async def _stop_unwanted(self, task: Task, outcome: Outcome, chosen: Chosen) -> None:
        """The task was removed while the vendor took it: have the vendor stop what nobody wants any more."""
        service = chosen.route.service
        if isinstance(outcome, Pending) and isinstance(service, Cancels) and await self._recorder.gone(task.id):
            with suppress(ProviderError, AuditFailed, StoreUnavailable):
                call = await self._calls.begin_cancel(task)
                ask = partial(cancel_asked, service, chosen.job, outcome.operation, within_s=LONGEST_ASK_S)
                await call.made(ask)
            await chosen.door.leave()

    async def _submit_failed(self, task: Task, error: ProviderError, door: Door | None, *, idempotent: bool) -> None:
        now, choice = self._clock(), task.choice
        again_at = self._retry_at(task, error, idempotent=idempotent, in_submit=True, now=now)
        if takes_nothing(error):
            choice = (task.choice + 1) % len(task.choices)
            again_at = now if choice else again_at
        await self._end_attempt(task, failure_of_submit(error), door, again_at=again_at, choice=choice)

    async def _end_attempt(
        self, task: Task, failure: Failure, door: Door | None, *, again_at: datetime | None, choice: int
    ) -> None:
        """The open attempt failed: put on record, then its gates are free."""
        ended = transitions.ended_unhappily(task, failure, again_at=again_at, choice=choice, now=self._clock())
        await self._recorder.record(ended)
        await self._leave(task, door)

    async def _abandoned(self, task: Task) -> None:
        """The worker that submitted did not come back."""
        error = OutcomeUnknown(
            "the worker that submitted the task stopped before the answer was on record; "
            "the vendor may have accepted and billed it"
        )
        route = self._asked_route(task)
        idempotent = route is not None and route.model.idempotent_submit
        await self._submit_failed(task, error, None, idempotent=idempotent)

    async def _poll(self, task: Task, task_input: TaskInput | None) -> float | None:
        route = self._asked_route(task)
        if route is None:
            if self._clock() >= task.deadline:
                await self._out_of_time(task)
            return None
        door = self._admissions.door(task, route)
        operation = task.attempt.operation or ""
        try:
            if task_input is None:
                task_input = await self._tasks.get_input(task.id)
            wanted = input_for(task_input, task.choices[task.choice])
            job = job_of(task, route.model, wanted, attempt=task.attempt.number)
            within_s = min(self._patience_s(task), LONGEST_POLL_S)
            ask = partial(asked, lambda: route.service.poll(job, operation), within_s=within_s)
            outcome = await self._calls.polled(task, ask)
        except InputNotTaken as error:
            # A worker of another version may still poll it, and a paid generation is at stake.
            await self._poll_failed(task, Unavailable(str(error)), door)
        except ProviderError as error:
            await door.report(error)
            await self._poll_failed(task, error, door)
        else:
            return await self._settle(task, outcome, door)
        return None

    def _asked_route(self, task: Task) -> Route | None:
        """Where the latest attempt was sent, or None where this worker must leave it to others."""
        try:
            route = self._registry.route_of(task, task.attempt)
        except InvalidRequest as error:
            log.warning("task_not_servable_here", reason=str(error))
            return None
        if route.unavailable is not None:
            log.warning("task_not_servable_here", reason=route.unavailable)
            return None
        return route

    async def _poll_failed(self, task: Task, error: ProviderError, door: Door) -> None:
        now, failure = self._clock(), failure_of(error)
        failures = task.attempt.poll_failures + 1
        poll_at = poll_again_at(error, failures=failures, now=now, random_source=self._random_source)
        if poll_at is None:
            again_at = self._retry_at(task, error, idempotent=False, in_submit=False, now=now)
            await self._end_attempt(task, failure, door, again_at=again_at, choice=task.choice)
        elif now >= task.deadline:
            await self._out_of_time(task, door)
        else:
            log.warning("poll_failed", code=failure.code, reason=failure.message, failures=failures)
            poll_at = until_deadline(poll_at, deadline=task.deadline, now=now)
            await self._recorder.record(transitions.poll_missed(task, failure, poll_at=poll_at, now=now))

    async def _settle(self, task: Task, outcome: Outcome, door: Door) -> float | None:
        """What the vendor answered, put on record; where it taught nothing, in how many seconds to ask again."""
        now = self._clock()
        match outcome:
            case Pending() if task.state is State.WAITING and now >= task.deadline:
                await self._out_of_time(task, door)
            case Pending():
                if task.state is State.SUBMITTING:
                    await door.report()
                poll_at = until_deadline(now + poll_interval(outcome), deadline=task.deadline, now=now)
                step = transitions.polled if task.state is State.WAITING else transitions.accepted
                after = step(task, outcome, poll_at=poll_at, now=now)
                if transitions.is_unchanged(task, after):
                    return (poll_at - now).total_seconds()
                await self._recorder.record(after)
            case Done():
                await door.leave(Verdict.WELL if task.state is State.SUBMITTING else None)
                await self._result_copier.done(task, outcome)
        return None

    async def _cancel(self, task: Task) -> None:
        """The caller wants it to end; the vendor is asked to stop where that can be done."""
        message = "cancelled; nothing was open at the vendor"
        if task.state is State.WAITING:
            if self._asked_route(task) is None and self._clock() < task.deadline:
                return  # a worker that serves it asks the vendor
            stopped = await vendor_stopped(task, self._tasks, self._registry, self._calls)
            message = STOPPED if stopped else NOT_STOPPED
        failure = Failure(code="cancelled", message=message)
        await self._recorder.record(transitions.cancelled(task, failure, now=self._clock()))
        await self._places.leave(task.id)

    async def _out_of_time(self, task: Task, door: Door | None = None) -> None:
        """The deadline passed; an operation was polled one last time."""
        failure = deadline_failure(task)
        await self._end_attempt(task, failure, door, again_at=None, choice=task.choice)

    async def _leave(self, task: Task, door: Door | None) -> None:
        if door is not None:
            await door.leave()
        else:
            await self._places.leave(task.id)

    def _retry_at(
        self, task: Task, error: ProviderError, *, idempotent: bool, in_submit: bool, now: datetime
    ) -> datetime | None:
        if task.relay is not None and not isinstance(error, NotAccepted):
            return None  # its caller speaks the vendor's API, reads the same error there, and may submit anew itself
        accepted = transitions.accepted_count(task) + (in_submit and isinstance(error, GenerationFailed))
        return retry_at(
            error,
            attempts=len(transitions.attempts_counted(task)),
            accepted=accepted,
            idempotent=idempotent,
            now=now,
            deadline=task.deadline,
            random_source=self._random_source,
        )

    def _patience_s(self, task: Task) -> float:
        """How long the provider may take for one answer, so that the task ends on time, in seconds."""
        return max((task.deadline - self._clock()).total_seconds(), 0.0) + LAST_ANSWER_S
