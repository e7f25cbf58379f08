"""Result copies: stores a vendor's outputs as results, completes the task, and has the vendor's links copied."""

from datetime import datetime, timedelta
from typing import Final

import structlog
from msgspec import structs

from core import transitions
from core.attempts import Failure, VendorAnswer
from core.errors import Stale, StoreUnavailable
from core.result_store import ResultStore
from core.retries import RetryPolicy
from core.tasks import Result, Task
from polyrelay import Answer, Done, ImageOutput, Output, TaskType, TextOutput, VideoOutput
from services.execution.leases import Leases
from services.execution.link_copies import FALLBACK_TYPES, CopyFailed, LinkCopies, LinkGone, file_name
from services.execution.recorder import Recorder, persistently

log = structlog.get_logger(__name__)

INLINE_BYTES: Final = 64 * 1024
"""A longer body of a vendor's response is a file of the result store; a shorter one is stored with the attempt."""

_KINDS: Final = {ImageOutput: TaskType.IMAGE, VideoOutput: TaskType.VIDEO, TextOutput: TaskType.TEXT}


class ResultCopier:
    """
    Completes tasks whose vendor is done.

    Args:
        recorder: Saves what happened.
        store: The result store.
        links: Copies the vendor's links.
        copies: Whether links are copied; otherwise callers get the vendor's links.
        retries: When to try again.
        leases: The leases of this worker.
    """

    def __init__(
        self,
        *,
        recorder: Recorder,
        store: ResultStore,
        links: LinkCopies,
        copies: bool,
        retries: RetryPolicy,
        leases: Leases,
    ) -> None:
        self._recorder = recorder
        self._store = store
        self._links = links
        self._copies = copies
        self._retries = retries
        self._leases = leases

    async def with_response(self, task: Task, answer: object) -> Task:
        """
        The task with the vendor's response at its latest attempt, to be saved with the outcome.

        Only a relayed task keeps the response: its caller speaks the vendor's own API. A body longer than
        `INLINE_BYTES`, such as one with images in it, becomes a file; that is retried until the result store accepts
        the file, since it may be paid for.

        Args:
            task: It has an open attempt.
            answer: None if there was no response; a plugin may have put any value here.
        """
        if task.relay is None or not isinstance(answer, Answer):
            return task
        kept = VendorAnswer(status=answer.status, media_type=answer.headers.get("content-type"), body=answer.body)
        if len(answer.body) > INLINE_BYTES:
            name = f"{task.id}/{task.attempt.number}/answer"
            await persistently(lambda: self._store.put(name, answer.body))
            kept = structs.replace(kept, body=None, file=name)
        return structs.replace(task, attempts=task.with_attempt(answer=kept))

    async def done(self, task: Task, done: Done) -> None:
        """Complete the task, or move it to `storing` and copy its links."""
        results = await persistently(lambda: self.take(task, done))
        now = self._retries.clock()
        if not self._copies or not any(result.is_link for result in results):
            await self._complete(task, transitions.finished(task, results, done.usage, now=now))
            return
        with self._leases.held() as owner:
            task = transitions.storing_begun(
                task, results, done.usage, owner=owner, lease_s=self._leases.lease_s, now=now
            )
            await self._recorder.record(task)
            await self._copy(task)

    async def take(self, task: Task, done: Done) -> tuple[Result, ...]:
        """
        The outputs as results: texts as they are, bytes stored, links with their expiry.

        Raises:
            StoreUnavailable: The store cannot be written.
        """
        return tuple([await self._take(task, index, output) for index, output in enumerate(done.outputs)])

    async def _take(self, task: Task, index: int, output: Output) -> Result:
        kind = _KINDS[type(output)]
        if isinstance(output, TextOutput):
            return Result(type=kind, text=output.text, finish_reason=output.finish_reason)
        if output.data is None:
            return Result(
                type=kind,
                url=output.url,
                url_expires=_expiry(output.lifetime_s, self._retries.clock()),
                media_type=output.media_type,
            )
        media_type = output.media_type or FALLBACK_TYPES[kind]
        name = file_name(task, index, media_type)
        await self._store.put(name, output.data)
        return Result(type=kind, file=name, media_type=media_type, size_bytes=len(output.data))

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
            results = await self._links.copy(task)
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
                await self._store.delete_all(task.id)
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


def _expiry(lifetime_s: float | None, now: datetime) -> datetime | None:
    return None if lifetime_s is None else now + timedelta(seconds=lifetime_s)
