"""
One step of one task: decides what a worker does when a wake arrives.

The step reads the stored task, does one thing (submit, poll, cancel or copy results), saves the outcome by
compare-and-set and queues the next wake. A wake that arrives twice, too early or too late does no harm.

A poll without news is not saved: its wake goes back to the queue for the next poll, and `wake_at` stays as it was. Only
the wake of that `wake_at` goes back. Any other wake polls once and is used up, so a task has one chain of polls.

What a crash of the worker process means:

- before `submitting` is stored: nothing happened, and the task is still pending. If it holds a gate, the gate
  reconciler ends the hold.
- after that, until the vendor's response is stored: the lease expires and the task fails with `outcome_unknown`. It is
  submitted again only if the model declares `idempotent_submit`.
- while the database is unavailable: the step retries until the vendor's response is stored; a crash then is the case
  above.
- while waiting or storing: another worker polls or copies again, which costs nothing.
"""

from datetime import timedelta
from typing import Final

import structlog

from core.clock import Clock
from core.errors import Stale, TaskNotFound
from core.task_repository import TaskRepository
from core.task_states import State
from core.tasks import Task, TaskInput
from services.execution.leases import Leases
from services.execution.poll import PollStep
from services.execution.recorder import Recorder
from services.execution.result_copies import ResultCopier
from services.execution.submit import SubmitStep
from services.execution.vendor_cancel import CancelStep
from services.limits.admission import Admissions

EARLY: Final = timedelta(seconds=0.5)
"""A wake may be this much early: the clocks of two machines differ."""

log = structlog.get_logger(__name__)


class TaskStep:
    """
    Moves a task one step on.

    Args:
        tasks: The stored tasks.
        recorder: Knows which wake belongs to a stored task.
        admissions: Ends the holds of tasks that have ended.
        submit: The step of a pending task.
        poll: The step of a waiting task.
        cancel: The step of a task whose caller requested cancellation.
        result_copier: The step of a storing task.
        leases: The leases of this worker.
        clock: Now.
    """

    def __init__(
        self,
        *,
        tasks: TaskRepository,
        recorder: Recorder,
        admissions: Admissions,
        submit: SubmitStep,
        poll: PollStep,
        cancel: CancelStep,
        result_copier: ResultCopier,
        leases: Leases,
        clock: Clock,
    ) -> None:
        self._tasks = tasks
        self._recorder = recorder
        self._admissions = admissions
        self._submit = submit
        self._poll = poll
        self._cancel = cancel
        self._result_copier = result_copier
        self._leases = leases
        self._clock = clock

    async def __call__(self, task_id: str, wake: str | None = None) -> float | None:
        """
        Do the task's next step, if one is due.

        Args:
            task_id: The task.
            wake: The queue's name of the wake; None if no wake started the step.

        Returns:
            In how many seconds the same wake must arrive again; None if it is used up.

        Raises:
            AuditFailed, StoreUnavailable, QueueUnavailable: Before the vendor was called; repeat the step later.
        """
        with structlog.contextvars.bound_contextvars(task_id=task_id):
            try:
                found = await self._tasks.get_with_input(task_id)
                again_in_s = await self._step(found.task, found.input)
            except TaskNotFound:
                log.info("task_not_found")
                await self._admissions.leave(task_id)
            except Stale:
                log.info("write_conflict")
            else:
                return again_in_s if self._recorder.is_wake_of(found.task, wake) else None
        return None

    async def _step(self, task: Task, task_input: TaskInput | None) -> float | None:
        """
        Do one step; returns in how many seconds the next one is due if that is not stored.

        `task_input` is None for a large input, which has to be read separately.
        """
        now = self._clock()
        if task.state.final:
            await self._admissions.leave(task.id)  # it may still be in a wait queue
        elif task.state is State.SUBMITTING:
            if self._leases.expired(task, now):
                await self._submit.lease_expired(task)
        elif task.is_cancel_requested and task.state is not State.STORING:
            await self._cancel(task)
        elif task.wake_at is not None and task.wake_at > now + EARLY:
            return (task.wake_at - now).total_seconds()
        elif task.state is State.STORING:
            await self._result_copier.resume(task)
        elif task.state is State.WAITING:
            return await self._poll(task, task_input)
        else:
            await self._submit(task, task_input)
        return None
