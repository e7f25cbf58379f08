"""Around every request: its id, one line in the log, its count and duration."""

import re
import time
from typing import Final

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import Metrics
from api.middleware.audit import ending_of
from api.middleware.rate_limit import rate_limit_headers
from core.audit import AuditLog
from core.random_ids import random_hex

_SANE_ID: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_METHODS: Final = frozenset({"GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"})
_QUIET: Final = frozenset({"/health", "/ready", "/metrics"})
NO_ROUTE: Final = "none"
LOGGED: Final = "logged"
"""Where a handler leaves, in the scope's state, what the request's line is to have besides."""


class Observed:
    """
    Wraps the whole application, so that what finds no route is seen, too.

    Args:
        app: What handles the request.
        metrics: Where it is counted.
        audit: Where it is told what became of what was asked for.
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
        started = time.perf_counter()
        request_id = request_id_of(scope)
        scope["state"]["request_id"] = request_id
        scope["state"]["started"] = started
        header = (b"x-request-id", request_id.encode())
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], header, *rate_limit_headers(scope)]
            await send(message)

        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        path = scope["path"]
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            if status is not None and (ending := ending_of(scope, status)) is not None:
                self._audit.end(ending)
            self._done(scope, path, status or 500, time.perf_counter() - started)

    def _done(self, scope: Scope, path: str, status: int, duration_s: float) -> None:
        method = str(scope.get("method", ""))
        route = str(scope.get("path_template") or NO_ROUTE)
        known = method if method in _METHODS else "other"
        self._metrics.request(method=known, route=route, status=status, duration_s=duration_s)
        write = self._log.debug if route in _QUIET and status < 400 else self._log.info
        more = scope["state"].get(LOGGED, {})
        duration_ms = round(duration_s * 1000, 1)
        write("request_handled", method=method, path=path[:200], status=status, duration_ms=duration_ms, **more)


def request_id_of(scope: Scope) -> str:
    """The caller's own X-Request-Id where it is short and plain, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            return text if _SANE_ID.fullmatch(text) else random_hex(16)
    return random_hex(16)
