"""Completes tasks whose vendor is done, and copies the vendor's links into the result store."""

import structlog

from core import transitions
from core.attempts import Failure
from core.errors import Stale, StoreUnavailable
from core.retries import RetryPolicy
from core.tasks import Task
from polyrelay import Done
from services.execution.leases import Leases
from services.execution.recorder import Recorder, persistently
from services.execution.results import CopyFailed, LinkGone, Results

log = structlog.get_logger(__name__)


class ResultCopier:
    """
    Completes tasks whose vendor is done.

    Args:
        recorder: Saves what happened.
        results: The files of tasks.
        retries: When to try again.
        leases: The leases of this worker.
    """

    def __init__(self, *, recorder: Recorder, results: Results, retries: RetryPolicy, leases: Leases) -> None:
        self._recorder = recorder
        self._results = results
        self._retries = retries
        self._leases = leases

    async def with_response(self, task: Task, answer: object) -> Task:
        """As `Results.with_response`; retried until the result store accepts the file, since it may be paid for."""
        return await persistently(lambda: self._results.with_response(task, answer))

    async def done(self, task: Task, done: Done) -> None:
        """Complete the task, or move it to `storing` and copy its links."""
        results = await persistently(lambda: self._results.take(task, done))
        now = self._retries.clock()
        if not self._results.to_copy(results):
            await self._complete(task, transitions.finished(task, results, done.usage, now=now))
            return
        with self._leases.held() as owner:
            task = transitions.storing_begun(
                task, results, done.usage, owner=owner, lease_s=self._leases.lease_s, now=now
            )
            await self._recorder.record(task)
            await self._copy(task)

    async def resume(self, task: Task) -> None:
        """Copy the links of a storing task whose lease has expired."""
        if not self._leases.expired(task, self._retries.clock()):
            return
        if task.lease is not None:  # counted as a failed copy: the result may be what crashes the workers
            await self._copy_failed(task, CopyFailed("the worker that copied it stopped"))
            return
        with self._leases.held() as owner:
            lease_s = self._leases.lease_s
            task = transitions.storing_resumed(task, owner=owner, lease_s=lease_s, now=self._retries.clock())
            await self._recorder.claim(task)
            await self._copy(task)

    async def _copy(self, task: Task) -> None:
        try:
            results = await self._results.copy(task)
        except LinkGone as error:
            failure = Failure(code="result_lost", message=f"the result could not be stored: {error}")
            await self._recorder.record(
                transitions.attempt_failed(task, failure, again_at=None, choice=task.choice, now=self._retries.clock())
            )
        except (CopyFailed, StoreUnavailable) as error:
            await self._copy_failed(task, error)
        else:
            await self._complete(task, transitions.stored(task, results, now=self._retries.clock()))

    async def _complete(self, task: Task, completed: Task) -> None:
        try:
            await self._recorder.record(completed)
        except Stale:
            if await self._recorder.is_deleted(task.id):  # deleted meanwhile: delete the new files as well
                await self._results.drop(task)
            raise

    async def _copy_failed(self, task: Task, error: Exception) -> None:
        now = self._retries.clock()
        failures = task.attempt.copy_failures + 1
        again_at = self._retries.copy_again_at(failures=failures, now=now)
        log.warning("copy_failed", reason=str(error), failures=failures)
        if again_at is None:
            await self._recorder.record(transitions.stored(task, task.results, now=now))
        else:
            await self._recorder.record(transitions.storing_postponed(task, again_at=again_at, now=now))
