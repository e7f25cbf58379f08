"""Audit rows of calls to vendors: which vendor was called, for which task, and with what outcome."""

import time
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

import msgspec

from core.audit import Action, AuditEnding, AuditLog, AuditRow
from core.audit import Outcome as AuditOutcome
from core.clock import Clock
from core.failures import failure_of, failure_of_submit
from core.random_ids import new_row_id
from core.redaction import CUT, Redact, without_secrets
from core.tasks import Task
from polyrelay import NotAccepted, Outcome, Params, Pending, ProviderError, Rejected

T = TypeVar("T")

OTHER_WORKER: Final = "conflict"
"""The error code of a call that another worker makes."""


class OpenCall:
    """
    A call whose row is in the audit log and that is not made yet.

    Args:
        audit: The audit log.
        row: The row of the call in it.
    """

    def __init__(self, audit: AuditLog, row: AuditRow) -> None:
        self._audit = audit
        self._row = row

    async def perform(self, response: Awaitable[T]) -> T:
        """
        Make the call and write its outcome to the audit log. If the process ends meanwhile, no outcome is written.

        Raises:
            ProviderError: What the call raises.
        """
        started = time.perf_counter()
        try:
            answer = await response
        except ProviderError as error:
            self._end(_outcome_of(error), started, error=_code_of(self._row.action, error), **_facts_of(error))
            raise
        self._end(AuditOutcome.DONE, started, **_facts_of(answer))
        return answer

    def not_made(self, code: str) -> None:
        """Write that the call will not be made, with our error code."""
        self._audit.end(AuditEnding(id=self._row.id, outcome=AuditOutcome.REFUSED, error=code))

    def _end(self, outcome: AuditOutcome, started: float, **facts: Any) -> None:
        self._audit.end(AuditEnding(id=self._row.id, outcome=outcome, duration_ms=_since(started), **facts))


class VendorCalls:
    """
    Writes calls to vendors to the audit log.

    Args:
        audit: The audit log.
        clock: Now.
        source: The id of the process that makes the calls.
        redact: Removes from a task's params what must not be stored.
    """

    def __init__(self, audit: AuditLog, *, clock: Clock, source: str, redact: Redact) -> None:
        self._audit = audit
        self._clock = clock
        self._source = source
        self._redact = redact

    async def begin_submit(self, task: Task, params: Params) -> OpenCall:
        """
        Write that the task's latest attempt will be submitted.

        Raises:
            AuditFailed, StoreUnavailable: It was not written; the attempt must not be submitted.
        """
        values = msgspec.to_builtins(params, builtin_types=(bytes,), enc_hook=lambda _: CUT)
        row = self._row(Action.UPSTREAM_SUBMIT, task, params=self._redact(values))
        await self._audit.begin(row)
        return OpenCall(self._audit, row)

    async def begin_cancel(self, task: Task) -> OpenCall:
        """
        Write that the vendor of the task's latest attempt will be asked to stop.

        Raises:
            AuditFailed, StoreUnavailable: It was not written; the vendor must not be asked.
        """
        row = self._row(Action.UPSTREAM_CANCEL, task)
        await self._audit.begin(row)
        return OpenCall(self._audit, row)

    async def poll(self, task: Task, response: Awaitable[Outcome]) -> Outcome:
        """
        Make a poll. Only the end of an attempt, or an error, is written to the audit log.

        Raises:
            ProviderError: What the call raises.
        """
        started = time.perf_counter()
        try:
            answer = await response
        except ProviderError as error:
            code = _code_of(Action.UPSTREAM_POLL, error)
            self._note_poll(task, started, outcome=_outcome_of(error), error=code, **_facts_of(error))
            raise
        if not isinstance(answer, Pending):
            self._note_poll(task, started, outcome=AuditOutcome.DONE, **_facts_of(answer))
        return answer

    def _note_poll(self, task: Task, started: float, **fields: Any) -> None:
        self._audit.note(self._row(Action.UPSTREAM_POLL, task, duration_ms=_since(started), **fields))

    def _row(self, action: Action, task: Task, *, params: Any = None, **fields: Any) -> AuditRow:
        now, attempt = self._clock(), task.attempt
        detail = {"attempt": attempt.number} if params is None else {"attempt": attempt.number, "params": params}
        return AuditRow(
            id=new_row_id(now),
            at=now,
            action=action,
            key_id=task.key_id,
            owner=task.owner,
            source=self._source,
            target=task.id,
            provider=attempt.provider,
            model=without_secrets(attempt.model),
            detail=detail,
            **fields,
        )


def _facts_of(answer: object) -> dict[str, Any]:
    """The vendor's request id and HTTP status, from an outcome or an error; a plugin may have put any value there."""
    request_id = getattr(answer, "request_id", None)
    status = getattr(answer, "http_status", None) or getattr(getattr(answer, "answer", None), "status", None)
    return {
        "upstream_request_id": request_id[:200] if isinstance(request_id, str) else None,
        "status": status if isinstance(status, int) and 100 <= status <= 999 else None,
    }


def _outcome_of(error: ProviderError) -> AuditOutcome:
    """Refused if it is certain that the vendor began nothing, otherwise failed."""
    return AuditOutcome.REFUSED if isinstance(error, NotAccepted | Rejected) else AuditOutcome.FAILED


def _code_of(action: Action, error: ProviderError) -> str:
    return (failure_of_submit if action is Action.UPSTREAM_SUBMIT else failure_of)(error).code


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
