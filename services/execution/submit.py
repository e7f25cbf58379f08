"""The step of a pending task: chooses a route, claims the task, submits it to the vendor and saves the outcome."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

import structlog

from core import transitions
from core.errors import AuditFailed, Stale, StoreUnavailable
from core.failures import failure_of_submit
from core.gates import VendorStatus
from core.retries import RetryPolicy, poll_interval, takes_nothing, until_deadline
from core.tasks import Task, TaskInput
from polyrelay import Cancels, Done, Outcome, OutcomeUnknown, Pending, ProviderError
from services.execution import plugin_calls
from services.execution.attempt_failures import AttemptFailures
from services.execution.leases import Leases
from services.execution.recorder import Recorder
from services.execution.result_copies import ResultCopier
from services.execution.routing import (
    InWaitQueue,
    NotServableHere,
    RouteChosen,
    Router,
    SubmitLater,
    VendorUnavailable,
)
from services.execution.vendor_audit import OTHER_WORKER, OpenCall, VendorCalls
from services.execution.vendor_cancel import CANCEL_TIMEOUT_S
from services.limits.admission import TaskGates

UNAVAILABLE_SPREAD_S: Final = 10.0
"""Tasks that wait for an unavailable vendor ask again spread over this time, in seconds, not all at once."""

log = structlog.get_logger(__name__)


class SubmitStep:
    """
    Submits pending tasks.

    Args:
        router: Chooses where a task is submitted.
        recorder: Saves what happened.
        calls: Writes calls to vendors to the audit log.
        result_copier: Keeps what the vendor responded.
        failures: Ends failed attempts.
        leases: The leases of this worker, which it renews while the step runs.
        retries: When to try again.
    """

    def __init__(
        self,
        *,
        router: Router,
        recorder: Recorder,
        calls: VendorCalls,
        result_copier: ResultCopier,
        failures: AttemptFailures,
        leases: Leases,
        retries: RetryPolicy,
    ) -> None:
        self._router = router
        self._recorder = recorder
        self._calls = calls
        self._result_copier = result_copier
        self._failures = failures
        self._leases = leases
        self._retries = retries

    async def __call__(self, task: Task, task_input: TaskInput | None) -> None:
        """
        Submit a pending task, or leave it pending.

        Raises:
            AuditFailed, StoreUnavailable, QueueUnavailable: Before the vendor was called; repeat the step later.
            Stale: Another process changed the task first.
        """
        if self._retries.clock() >= task.deadline:
            await self._failures.deadline_passed(task)
            return
        match await self._router.route(task, task_input):
            case RouteChosen() as chosen:
                await self._submit(task, chosen)
            case InWaitQueue(gate=gate):
                log.debug("task_queued", gate=gate)
            case SubmitLater(again_at=again_at):
                await self._postpone(task, again_at)
            case VendorUnavailable(again_at=again_at):
                spread = timedelta(seconds=self._retries.random_source() * UNAVAILABLE_SPREAD_S)
                await self._postpone(task, again_at + spread)
            case NotServableHere(reason=reason):
                log.warning("task_not_servable_here", reason=reason)

    async def lease_expired(self, task: Task) -> None:
        """The worker that submitted the task stopped before it saved the vendor's response: the outcome is unknown."""
        error = OutcomeUnknown(
            "the worker that submitted the task stopped before the response was stored; "
            "the vendor may have accepted and billed it"
        )
        route = self._router.route_of_attempt(task)
        await self._failed(task, error, None, idempotent=route is not None and route.model.idempotent_submit)

    async def _postpone(self, task: Task, again_at: datetime) -> None:
        now = self._retries.clock()
        again_at = until_deadline(again_at, deadline=task.deadline, now=now)
        await self._recorder.record(transitions.postponed(task, again_at=again_at, now=now))

    async def _submit(self, task: Task, chosen: RouteChosen) -> None:
        """Claim the task under a lease, then call the vendor, then save the outcome: in this order, always."""
        with self._leases.held() as owner:
            submitting = transitions.begun(
                task, choice=chosen.choice, owner=owner, lease_s=self._leases.lease_s, now=self._retries.clock()
            )
            call = await self._claimed(submitting, chosen)
            if call is None:
                return
            attempt = submitting.attempt
            log.info("submit_started", provider=attempt.provider, model=attempt.model, attempt=attempt.number)
            within_s = plugin_calls.response_timeout_s(submitting, self._retries.clock())
            try:
                outcome = await call.perform(plugin_calls.submit(chosen.route.service, chosen.job, within_s=within_s))
            except ProviderError as error:
                await chosen.gates.report(error)
                submitting = await self._result_copier.with_response(submitting, error.answer)
                await self._failed(submitting, error, chosen.gates, idempotent=chosen.route.model.idempotent_submit)
            else:
                submitting = await self._result_copier.with_response(submitting, outcome.answer)
                await self._accepted(submitting, outcome, chosen)

    async def _claimed(self, submitting: Task, chosen: RouteChosen) -> OpenCall | None:
        """
        The call to the vendor, with its row in the audit log and the task claimed for it.

        None if another worker claimed the task: that one submits it, and holds the gates in the task's name.
        """
        call = await self._calls.begin_submit(submitting, chosen.job.params)
        try:
            await self._recorder.claim(submitting)
        except Stale:
            call.not_made(OTHER_WORKER)
            return None
        except StoreUnavailable as error:
            call.not_made(error.code)
            raise
        return call

    async def _accepted(self, task: Task, outcome: Outcome, chosen: RouteChosen) -> None:
        """Save what the vendor responded; it accepted the attempt."""
        match outcome:
            case Pending():
                now = self._retries.clock()
                await chosen.gates.report()
                poll_at = until_deadline(now + poll_interval(outcome), deadline=task.deadline, now=now)
                try:
                    await self._recorder.record(transitions.accepted(task, outcome, poll_at=poll_at, now=now))
                except Stale:
                    await self._stop_deleted(task, outcome, chosen)
                    raise
            case Done():
                await chosen.gates.leave(VendorStatus.AVAILABLE)
                await self._result_copier.done(task, outcome)

    async def _stop_deleted(self, task: Task, pending: Pending, chosen: RouteChosen) -> None:
        """If the task was deleted during the submit, ask the vendor to stop it: nobody can fetch its results."""
        service = chosen.route.service
        if isinstance(service, Cancels) and await self._recorder.is_deleted(task.id):
            with suppress(ProviderError, AuditFailed, StoreUnavailable):
                call = await self._calls.begin_cancel(task)
                await call.perform(
                    plugin_calls.cancel(service, chosen.job, pending.operation, within_s=CANCEL_TIMEOUT_S)
                )
            await chosen.gates.leave()

    async def _failed(self, task: Task, error: ProviderError, gates: TaskGates | None, *, idempotent: bool) -> None:
        """Submit again, ask the next choice, or fail the task."""
        now, choice = self._retries.clock(), task.choice
        again_at = self._failures.retry_at(task, error, idempotent=idempotent, in_submit=True, now=now)
        if takes_nothing(error):
            choice = (task.choice + 1) % len(task.choices)
            again_at = now if choice else again_at
        await self._failures.end(task, failure_of_submit(error), gates, again_at=again_at, choice=choice)
