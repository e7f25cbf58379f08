"""The step of a waiting task: polls the vendor and saves the outcome."""

from typing import Final

import structlog

from core import transitions
from core.failures import failure_of
from core.retries import RetryPolicy, poll_interval, until_deadline
from core.task_repository import TaskRepository
from core.tasks import Task, TaskInput, input_for
from polyrelay import Done, Outcome, Pending, ProviderError, Unavailable
from services.execution import plugin_calls
from services.execution.attempt_failures import AttemptFailures
from services.execution.recorder import Recorder
from services.execution.result_copies import ResultCopier
from services.execution.routing import Router
from services.execution.vendor_audit import VendorCalls
from services.limits.admission import Admissions, TaskGates

POLL_TIMEOUT_S: Final = 120.0
"""A poll without a response is ended after this time, in seconds; the operation is polled again."""

log = structlog.get_logger(__name__)


class PollStep:
    """
    Polls the operations of waiting tasks.

    Args:
        tasks: For the input.
        router: Finds the route of the attempt.
        admissions: The gates that the task holds.
        calls: Writes calls to vendors to the audit log.
        recorder: Saves what happened.
        result_copier: Keeps what the vendor made.
        failures: Ends failed attempts.
        retries: When to try again.
    """

    def __init__(
        self,
        *,
        tasks: TaskRepository,
        router: Router,
        admissions: Admissions,
        calls: VendorCalls,
        recorder: Recorder,
        result_copier: ResultCopier,
        failures: AttemptFailures,
        retries: RetryPolicy,
    ) -> None:
        self._tasks = tasks
        self._router = router
        self._admissions = admissions
        self._calls = calls
        self._recorder = recorder
        self._result_copier = result_copier
        self._failures = failures
        self._retries = retries

    async def __call__(self, task: Task, task_input: TaskInput | None) -> float | None:
        """
        Poll the operation of a waiting task.

        Returns:
            After a poll without news, which is not saved: in how many seconds to poll again. Otherwise None.

        Raises:
            StoreUnavailable: The input cannot be read; repeat the step later.
            Stale: Another process changed the task first.
        """
        route = self._router.route_of_attempt(task)
        if route is None:
            if self._retries.clock() >= task.deadline:
                await self._failures.deadline_passed(task)
            return None
        gates = self._admissions.gates_of(task, route)
        try:
            if task_input is None:
                task_input = await self._tasks.get_input(task.id)
            wanted = input_for(task_input, task.choices[task.choice])
            job = plugin_calls.job_of(task, route.model, wanted, attempt=task.attempt.number)
            within_s = min(plugin_calls.response_timeout_s(task, self._retries.clock()), POLL_TIMEOUT_S)
            response = plugin_calls.poll(route.service, job, task.attempt.operation or "", within_s=within_s)
            outcome = await self._calls.poll(task, response)
        except plugin_calls.InputMismatch as error:
            # A worker of another version may be able to poll it, and a paid generation is at stake.
            await self._failed(task, Unavailable(str(error)), gates)
        except ProviderError as error:
            await gates.report(error)
            await self._failed(task, error, gates)
        else:
            return await self._polled(task, outcome, gates)
        return None

    async def _polled(self, task: Task, outcome: Outcome, gates: TaskGates) -> float | None:
        """Save what the vendor responded; without news, return in how many seconds to poll again."""
        now = self._retries.clock()
        match outcome:
            case Pending() if now >= task.deadline:
                await self._failures.deadline_passed(task, gates)
            case Pending():
                poll_at = until_deadline(now + poll_interval(outcome), deadline=task.deadline, now=now)
                polled = transitions.polled(task, outcome, poll_at=poll_at, now=now)
                if transitions.is_unchanged(task, polled):
                    return (poll_at - now).total_seconds()
                await self._recorder.record(polled)
            case Done():
                await gates.leave()
                await self._result_copier.done(task, outcome)
        return None

    async def _failed(self, task: Task, error: ProviderError, gates: TaskGates) -> None:
        """Poll again, or end the attempt if the error ends the operation or the deadline has passed."""
        now, failure = self._retries.clock(), failure_of(error)
        failures = task.attempt.poll_failures + 1
        poll_at = self._retries.poll_again_at(error, failures=failures, now=now)
        if poll_at is None:
            again_at = self._failures.retry_at(task, error, idempotent=False, in_submit=False, now=now)
            await self._failures.end(task, failure, gates, again_at=again_at, choice=task.choice)
        elif now >= task.deadline:
            await self._failures.deadline_passed(task, gates)
        else:
            log.warning("poll_failed", code=failure.code, reason=failure.message, failures=failures)
            poll_at = until_deadline(poll_at, deadline=task.deadline, now=now)
            await self._recorder.record(transitions.poll_failed(task, failure, poll_at=poll_at, now=now))
