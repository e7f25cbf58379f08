"""
Requests on the audit log: a row before anything is done, and what became of it behind the answer.

Each route that may change something says in its `opt` what it does: `opt={"audit": Action.TASK_CANCEL}`, or
`opt={"audit": NO_CHANGE}` where it only reads. One that says nothing is on record as `other`.
"""

import time
from typing import Any, Final

import msgspec
from litestar.connection import ASGIConnection, Request
from litestar.handlers import BaseRouteHandler
from litestar.types import Scope
from msgspec import Struct

from api.dependencies import use_cases_in
from api.requests import read_body
from api.roles import caller_in
from core.audit import Action, AuditEnding, AuditRow, Outcome
from core.random_ids import new_row_id
from core.redaction import without_secrets
from core.tasks import Task

NO_CHANGE: Final = "no change"
"""For a route that is asked with a method of change, and changes nothing."""
WITH_TASK: Final = frozenset({Action.TASK_CREATE})
"""Actions whose row is written with a task, by `row_of_new`, and only where there is one."""

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST_TARGET: Final = 200


class Recorded(Struct, kw_only=True):
    """
    The row of a request.

    Attributes:
        row: As it was written.
        target: What was changed, where that became known later.
    """

    row: AuditRow
    target: str | None = None


async def recorded(call: "ASGIConnection[Any, Any, Any, Any]", handler: BaseRouteHandler) -> None:
    """
    A guard, behind those that say who calls: puts on record what is about to be done.

    Raises:
        AuditFailed, StoreUnavailable: It is not on record, so it is not done.
    """
    action = handler.opt.get("audit", Action.OTHER)
    if not isinstance(call, Request) or call.method in _READING or action == NO_CHANGE or action in WITH_TASK:
        return
    body = await read_body(call.scope, call.receive)
    target = next(map(str, call.path_params.values()), None)
    row = _row(call.scope, Action(action), json_of(body), target=target and _plain(target))
    await use_cases_in(call.scope).adapters.audit.begin(row)
    call.scope["state"]["recorded"] = Recorded(row=row)


def row_of_new(scope: Scope, task: Task, body: Any) -> AuditRow:
    """
    The row that is written with a new task, in the same breath, and says that it was created.

    That is amended where the answer tells otherwise. How long it took is told up to the write.
    """
    row = _row(
        scope,
        Action.TASK_CREATE,
        body,
        target=task.id,
        provider=task.provider,
        model=_plain(task.model),
        outcome=Outcome.DONE,
        status=201,
        duration_ms=_duration_ms(scope),
    )
    scope["state"]["recorded"] = Recorded(row=row)
    return row


def set_audit_target(scope: Scope, target: str) -> None:
    """Say what was changed, where the path does not: such as the id of what was created."""
    found: Recorded | None = scope["state"].get("recorded")
    if found is not None and found.row.target != target:
        found.target = target


def ending_of(scope: Scope, status: int) -> AuditEnding | None:
    """What is to be told about the request, now that it was answered; None where its row says so already."""
    found: Recorded | None = scope["state"].get("recorded")
    if found is None or (found.row.status == status and found.target is None):
        return None
    return AuditEnding(
        id=found.row.id,
        outcome=outcome_of(status),
        error=scope["state"].get("problem"),
        target=found.target,
        status=status,
        duration_ms=_duration_ms(scope),
    )


def outcome_of(status: int) -> Outcome:
    """What an HTTP status says."""
    if status < 400:
        return Outcome.DONE
    return Outcome.REFUSED if status < 500 else Outcome.FAILED


def _row(scope: Scope, action: Action, body: Any, **fields: Any) -> AuditRow:
    use_cases, caller = use_cases_in(scope), caller_in(scope)
    now = use_cases.adapters.clock()
    detail = None if body is None else use_cases.redact(body)
    return AuditRow(
        id=new_row_id(now),
        at=now,
        action=action,
        key_id=caller.key_id,
        access_key=caller.access_key,
        owner=caller.owner,
        source=use_cases.source(scope),
        request_id=scope["state"].get("request_id"),
        method=str(scope.get("method")),
        path=_plain(scope["path"]),
        detail=detail if isinstance(detail, dict) else None,
        **fields,
    )


def _plain(text: str) -> str:
    """A caller's word in a field of its own: short, and no secret that was put there by mistake."""
    return without_secrets(text[:_LONGEST_TARGET])


def _duration_ms(scope: Scope) -> float | None:
    started = scope["state"].get("started")
    return None if started is None else round((time.perf_counter() - started) * 1000, 1)


def json_of(body: bytes) -> Any:
    """The body, where it is JSON; what it is otherwise is for the handler to say."""
    try:
        return msgspec.json.decode(body) if body else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
