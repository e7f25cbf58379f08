"""
Audit log of requests: a row before the handler runs, and how the request ended after the response.

Each route that may change something states its action in its `RoutePolicy`. A create writes its row with the task; see
`api.context.draft_audit_row`.
"""

import time
from typing import Any, Final

import msgspec
from litestar.connection import ASGIConnection, Request
from litestar.handlers import BaseRouteHandler
from litestar.types import Scope

from api.context import context_in, context_of, new_audit_row
from api.requests import read_body
from api.route_policy import policy_of
from core.audit import Action, AuditEnding, Outcome
from core.redaction import audit_text

_WITH_TASK: Final = frozenset({Action.TASK_CREATE})
"""Actions whose row is written with a task, and only if the task is stored."""
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


async def audit_guard(call: "ASGIConnection[Any, Any, Any, Any]", handler: BaseRouteHandler) -> None:
    """
    Store an audit row of what the handler is about to do. Runs after the guards that authenticate the caller.

    Raises:
        AuditFailed, StoreUnavailable: The row is not stored, so the handler does not run.
    """
    if not isinstance(call, Request) or call.method in _READING:
        return
    action = policy_of(handler).audit
    if action is None or action in _WITH_TASK:
        return
    context, body = context_of(call), json_of(await read_body(call.scope, call.receive))
    target = next(map(str, call.path_params.values()), None)
    detail = None if body is None else context.use_cases.redact(body)
    row = new_audit_row(
        call.scope,
        action,
        target=target and audit_text(target),
        detail=detail if isinstance(detail, dict) else None,
    )
    await context.use_cases.adapters.audit.begin(row)
    context.audit_row = row


def ending_of(scope: Scope, status: int) -> AuditEnding | None:
    """How the request ended, for its audit row; None where there is no row, or the row already says so."""
    context = context_in(scope)
    row = context.written_audit_row
    if row is None:
        return None
    target = context.audit_target if context.audit_target != row.target else None
    if row.status == status and target is None:
        return None
    return AuditEnding(
        id=row.id,
        outcome=outcome_of(status),
        error=context.problem_code,
        target=target,
        status=status,
        duration_ms=round((time.perf_counter() - context.started_s) * 1000, 1),
    )


def outcome_of(status: int) -> Outcome:
    """The outcome that an HTTP status stands for."""
    if status < 400:
        return Outcome.DONE
    return Outcome.REFUSED if status < 500 else Outcome.FAILED


def json_of(body: bytes) -> Any:
    """The decoded body, or None where it is not JSON; the handler refuses it."""
    try:
        return msgspec.json.decode(body) if body else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
