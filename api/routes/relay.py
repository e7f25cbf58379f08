"""Relay routes: Volcengine's visual API for its official client, with this server's host and keys."""

from typing import Final

import structlog
from litestar import Controller, Response, post

from api.context import Call, context_of, draft_audit_row
from api.middleware.audit import json_of
from api.requests import REPLAYED, idempotency_in, read_body
from api.route_policy import RoutePolicy, SignatureReuse, guarded_by
from api.routes.tasks import file_urls
from api.views.relay import HANDLERS, rendered
from core.audit import Action
from core.callers import Role
from core.tasks import RelayCall
from services.relay.actions import QUERIES, QUERY_OF, VERSION
from services.relay.responses import BODY_TOO_LARGE, Business, Gateway, RelayAnswer, RelayCallRefused

MAX_BODY_BYTES: Final = 10 * 2**20
"""The vendor's limit; MAX_BODY_BYTES may be lower."""

STARTS: Final = frozenset(QUERY_OF)
SUBMIT: Final = "CVSync2AsyncSubmitTask"
GET_RESULT: Final = "CVSync2AsyncGetResult"
CREATES: Final = guarded_by(
    RoutePolicy(access=Role.APP, audit=Action.TASK_CREATE, signature_reuse=SignatureReuse.REFUSED_WITH_TASK)
)
READS: Final = guarded_by(RoutePolicy(access=Role.APP, audit=None, signature_reuse=SignatureReuse.ALLOWED))


class Relay(Controller):
    """The vendor's Actions, at the vendor's path and at two short paths."""

    exception_handlers = HANDLERS

    @post("/", status_code=200, opt=CREATES)
    async def action(self, request: Call) -> Response[bytes]:
        """The Action that the query string names."""
        return await _served(request, _call_of(request, STARTS | QUERIES))

    @post("/v1/submit", status_code=200, opt=CREATES)
    async def submit(self, request: Call) -> Response[bytes]:
        """`CVSync2AsyncSubmitTask`, or another submit that the query string names."""
        return await _served(request, _call_of(request, STARTS, default=SUBMIT))

    @post("/v1/get-result", status_code=200, opt=READS)
    async def get_result(self, request: Call) -> Response[bytes]:
        """`CVSync2AsyncGetResult`, or another query that the query string names."""
        return await _served(request, _call_of(request, QUERIES, default=GET_RESULT))


async def _served(request: Call, call: RelayCall) -> Response[bytes]:
    body = await _body(request)
    if call.action in QUERIES:
        return rendered(request, await _asked(request, call, body))
    return await _submitted(request, call, body)


async def _submitted(request: Call, call: RelayCall, body: bytes) -> Response[bytes]:
    context = context_of(request)
    use_cases = context.use_cases
    idempotency = idempotency_in(request.scope, call.action, body)
    audit = draft_audit_row(request.scope, json_of(body))
    created = await use_cases.relay_submit.create(call, body, context.caller, audit=audit, idempotency=idempotency)
    task = created.task
    context.audit_target = task.id
    structlog.contextvars.bind_contextvars(task_id=task.id, provider=task.provider, model=task.model)
    if not created.replayed:
        use_cases.metrics.created(task)
    answer = rendered(request, await use_cases.relay_submit.answer(task))
    if created.replayed:
        answer.headers[REPLAYED] = "true"
    return answer


async def _asked(request: Call, call: RelayCall, body: bytes) -> RelayAnswer:
    context = context_of(request)
    return await context.use_cases.relay_query(
        call, body, context.caller, lambda task_id, index: file_urls(request, task_id)(index)
    )


def _call_of(request: Call, allowed: frozenset[str], *, default: str | None = None) -> RelayCall:
    """
    The call that the query string names.

    Raises:
        RelayCallRefused: It names none, or one that is not relayed.
    """
    action, version = request.query_params.get("Action"), request.query_params.get("Version")
    action = action or default
    version = version or (VERSION if default is not None else None)
    if action is None or version is None:
        missing = "Action" if action is None else "Version"
        raise RelayCallRefused(Gateway(code="MissingParameter", message=f"the query has no {missing}"))
    if version != VERSION or action not in allowed:
        raise RelayCallRefused(
            Gateway(code="InvalidActionOrVersion", message=f"{action} of {version} is not relayed"[:300])
        )
    return RelayCall(action=action, version=version)


async def _body(request: Call) -> bytes:
    body = await read_body(request.scope, request.receive)
    if len(body) > MAX_BODY_BYTES:
        raise RelayCallRefused(Business(code=BODY_TOO_LARGE))
    return body
