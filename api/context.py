"""
Request context: what guards, handlers and middleware know about one request.

The outermost middleware stores one `RequestContext` in the scope before anything else handles the request. Guards and
handlers fill in its fields; the middleware reads them while it sends the response and afterwards.
"""

from typing import Any, Final, TypeAlias

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.types import Scope
from msgspec import Struct

from api.dependencies import UseCases
from core.addresses import client_address
from core.audit import Action, AuditDraft, AuditRow, Outcome
from core.callers import Caller, Role
from core.random_ids import new_row_id
from core.rates import RateLimitStatus
from core.redaction import audit_text

Call: TypeAlias = Request[Any, Any, Any]

_STATE: Final = "context"

NOBODY: Final = Caller(role=Role.APP)
"""The caller of a public route, and of a request that no guard has authenticated yet. It sees no task."""


class RequestContext(Struct, kw_only=True):
    """
    The state of one request.

    Attributes:
        use_cases: Of the application that handles the request.
        request_id: The caller's own `X-Request-Id`, or a new one.
        started_s: `time.perf_counter()` when the request arrived.
        caller: Set by the authentication guard.
        rate_limit: The rate limit of the caller's key after this request; None where it has no limit.
        audit_row: The audit row that was written before the handler ran, or None.
        audit_draft: The audit row of a create, which is written with the task; None for other routes.
        audit_target: The id of what was changed, where it was not known when the row was written.
        problem_code: Our code of the error that was responded with, or None.
        log_fields: Further fields of the event `request_handled`.
    """

    use_cases: UseCases
    request_id: str
    started_s: float
    caller: Caller = NOBODY
    rate_limit: RateLimitStatus | None = None
    audit_row: AuditRow | None = None
    audit_draft: AuditDraft | None = None
    audit_target: str | None = None
    problem_code: str | None = None
    log_fields: dict[str, str] = {}

    @property
    def written_audit_row(self) -> AuditRow | None:
        """The row that was written, or that a write was tried with; None where nothing was to be audited."""
        if self.audit_draft is not None and self.audit_draft.is_complete:
            return self.audit_draft.row
        return self.audit_row


def store_context(scope: Scope, context: RequestContext) -> None:
    """Make it the context of the request; called once, by the outermost middleware."""
    scope["state"][_STATE] = context


def context_in(scope: Scope) -> RequestContext:
    """The context of the request with that scope."""
    context: RequestContext = scope["state"][_STATE]
    return context


def context_of(call: ASGIConnection[Any, Any, Any, Any]) -> RequestContext:
    """As `context_in`."""
    return context_in(call.scope)


def use_cases_of(call: ASGIConnection[Any, Any, Any, Any]) -> UseCases:
    """The use cases of the application that handles the request."""
    return context_in(call.scope).use_cases


def new_audit_row(scope: Scope, action: Action, **fields: Any) -> AuditRow:
    """A row about the request: who sent it, from where, and to which path; `fields` are further ones of the row."""
    context = context_in(scope)
    caller, now = context.caller, context.use_cases.adapters.clock()
    return AuditRow(
        id=new_row_id(now),
        at=now,
        action=action,
        key_id=caller.key_id,
        access_key=caller.access_key,
        owner=caller.owner,
        source=_source(scope, context.use_cases),
        request_id=context.request_id,
        method=str(scope.get("method")),
        path=audit_text(scope["path"]),
        **fields,
    )


def draft_audit_row(scope: Scope, body: Any) -> AuditDraft:
    """
    The audit row of a create, which the use case completes and writes with the task.

    Args:
        body: Decoded JSON, or None where it is none. It is redacted when the row is completed.
    """
    context = context_in(scope)
    row = new_audit_row(scope, Action.TASK_CREATE, outcome=Outcome.DONE, status=201)
    context.audit_draft = draft = AuditDraft(row=row, body=body, started_s=context.started_s)
    return draft


def _source(scope: Scope, use_cases: UseCases) -> str | None:
    """The caller's address; behind a trusted proxy, the one that the proxy states."""
    client = scope["client"]
    peer = client[0] if client is not None else None
    if not use_cases.proxies:
        return peer
    named = [value.decode("latin-1") for key, value in scope["headers"] if key == b"x-forwarded-for"]
    return client_address(peer, ",".join(named), use_cases.proxies)
