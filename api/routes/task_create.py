"""
Create route: the request that must cost the least.

The framework matches the route, runs the guards and renders errors. The request is read and the response written here,
at a third of the cost of the framework's own conversion from values to responses.
"""

from typing import Final

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive, Scope, Send

from api.context import context_in, draft_audit_row
from api.requests import REPLAYED, idempotency_in, read_body, read_object_in
from api.views.task_actions import created_task
from api.views.tasks import Envelope
from polyrelay import TaskType

RESULT_PATH: Final = "/api/v1/ai/task/result"

_encode: Final = msgspec.json.Encoder().encode


class CreateRoute(HTTPRouteHandler):
    """A route whose guards share one handler: the framework would copy the handler for each guard, on each request."""

    async def authorize_connection(self, connection: ASGIConnection) -> None:  # type: ignore[type-arg]
        """Run the guards."""
        for guard in self.resolve_guards():
            await guard(connection, self)  # type: ignore[misc]


class Create:
    """
    Creates a task of one type, as an ASGI application.

    Args:
        task_type: What the task makes.
    """

    def __init__(self, task_type: TaskType) -> None:
        self._task_type = task_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, create the task, respond."""
        context = context_in(scope)
        body = await read_object_in(scope, receive)
        idempotency = idempotency_in(scope, self._task_type, await read_body(scope, receive))
        audit = draft_audit_row(scope, body)
        created = await context.use_cases.create(
            self._task_type, body, context.caller, audit=audit, idempotency=idempotency
        )
        task = created.task
        context.audit_target = task.id
        context.log_fields = {"task_id": task.id, "provider": task.provider, "model": task.model}
        headers = [(b"location", f"{RESULT_PATH}/{task.id}".encode())]
        if created.replayed:
            headers.append((REPLAYED.lower().encode(), b"true"))
        else:
            context.use_cases.metrics.created(task)
        response = _encode(Envelope(data=created_task(task), message="The task was created."))
        await send_json(send, 201, response, *headers)


async def send_json(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    """Send a whole response."""
    kind, length = (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [kind, length, *headers]})
    await send({"type": "http.response.body", "body": body, "more_body": False})
