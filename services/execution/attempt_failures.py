"""Ends failed attempts: saves the failure, decides whether the task is submitted again, and leaves the gates."""

from datetime import datetime

from core import transitions
from core.attempts import Failure
from core.failures import deadline_failure
from core.retries import RetryPolicy
from core.tasks import Task
from polyrelay import GenerationFailed, NotAccepted, ProviderError
from services.execution.recorder import Recorder
from services.limits.admission import Admissions, TaskGates


class AttemptFailures:
    """
    Ends failed attempts, of submits and of polls.

    Args:
        recorder: Saves what happened.
        admissions: Leaves the gates of a task whose route is not known.
        retries: When to try again.
    """

    def __init__(self, recorder: Recorder, admissions: Admissions, retries: RetryPolicy) -> None:
        self._recorder = recorder
        self._admissions = admissions
        self._retries = retries

    async def end(
        self, task: Task, failure: Failure, gates: TaskGates | None, *, again_at: datetime | None, choice: int
    ) -> None:
        """
        End the open attempt, then leave its gates: first the stored failure, then the free slot.

        Args:
            task: The task.
            failure: Why the attempt failed.
            gates: The gates that the task holds; None if its route is not known.
            again_at: When the task is submitted again; None if it fails.
            choice: The choice of the next submit.
        """
        ended = transitions.attempt_failed(task, failure, again_at=again_at, choice=choice, now=self._retries.clock())
        await self._recorder.record(ended)
        if gates is not None:
            await gates.leave()
        else:
            await self._admissions.leave(task.id)

    async def deadline_passed(self, task: Task, gates: TaskGates | None = None) -> None:
        """Fail the task because of its deadline; an open operation was polled one last time."""
        await self.end(task, deadline_failure(task), gates, again_at=None, choice=task.choice)

    def retry_at(
        self, task: Task, error: ProviderError, *, idempotent: bool, in_submit: bool, now: datetime
    ) -> datetime | None:
        """
        When to submit the task again, or None.

        Args:
            task: The task, with the failed attempt still open.
            error: Why it failed.
            idempotent: Whether the vendor guarantees that a repeated submit does nothing.
            in_submit: Whether the submit failed, and not a poll.
            now: The clock.
        """
        if task.relay is not None and not isinstance(error, NotAccepted):
            return None  # the caller speaks the vendor's API, reads the same error there, and may submit again
        accepted = transitions.accepted_count(task) + (in_submit and isinstance(error, GenerationFailed))
        return self._retries.retry_at(
            error,
            attempts=len(transitions.attempts_counted(task)),
            accepted=accepted,
            idempotent=idempotent,
            now=now,
            deadline=task.deadline,
        )
