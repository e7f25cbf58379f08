"""Request log: the id of every request, one log line, its count and duration, and how it ended for the audit log."""

import re
import time
from typing import Final, cast

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.context import RequestContext, store_context
from api.dependencies import UseCases
from api.metrics import Metrics
from api.middleware.audit import ending_of
from api.middleware.rate_limit import rate_limit_headers
from core.audit import AuditLog
from core.random_ids import random_hex

_SANE_ID: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_METHODS: Final = frozenset({"GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"})
_QUIET: Final = frozenset({"/health", "/ready", "/metrics"})
NO_ROUTE: Final = "none"


class RequestLog:
    """
    The outermost middleware: it stores the request's context, and sees also requests that no route matches.

    Args:
        app: Handles the request.
        metrics: Counts it.
        audit: Stores how an audited request ended.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, audit: AuditLog) -> None:
        self._app = app
        self._metrics = metrics
        self._audit = audit
        self._log = structlog.get_logger(__name__).bind()  # once, not for each line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        context = RequestContext(
            use_cases=cast(UseCases, scope["litestar_app"].state.use_cases),
            request_id=request_id_of(scope),
            started_s=time.perf_counter(),
        )
        store_context(scope, context)
        header = (b"x-request-id", context.request_id.encode())
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], header, *rate_limit_headers(context)]
            await send(message)

        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=context.request_id)
        path = scope["path"]
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            if status is not None and (ending := ending_of(scope, status)) is not None:
                self._audit.end(ending)
            self._finish(scope, context, path, status or 500)

    def _finish(self, scope: Scope, context: RequestContext, path: str, status: int) -> None:
        duration_s = time.perf_counter() - context.started_s
        method = str(scope.get("method", ""))
        route = str(scope.get("path_template") or NO_ROUTE)
        known = method if method in _METHODS else "other"
        self._metrics.request(method=known, route=route, status=status, duration_s=duration_s)
        write = self._log.debug if route in _QUIET and status < 400 else self._log.info
        duration_ms = round(duration_s * 1000, 1)
        write(
            "request_handled",
            method=method,
            path=path[:200],
            status=status,
            duration_ms=duration_ms,
            **context.log_fields,
        )


def request_id_of(scope: Scope) -> str:
    """The caller's own X-Request-Id if it is short and plain, otherwise a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            return text if _SANE_ID.fullmatch(text) else random_hex(16)
    return random_hex(16)
