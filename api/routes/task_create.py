"""
Creating a task: the call that must cost the least.

The framework routes it, asks its guards and renders its errors. The request is read and the answer written here, at a
third of what the framework's own way from values to answers costs.
"""

from typing import Final

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive, Scope, Send

from api.dependencies import use_cases_in
from api.middleware.audit import row_of_new, set_audit_target
from api.middleware.idempotency import REPLAYED, same_in
from api.middleware.request_log import LOGGED
from api.requests import read_body, read_object_in
from api.roles import caller_in
from api.views.task_actions import created_task
from api.views.tasks import Envelope
from polyrelay import TaskType

RESULT_PATH: Final = "/api/v1/ai/task/result"

_encode: Final = msgspec.json.Encoder().encode


class CreateRoute(HTTPRouteHandler):
    """A route whose guards share the one handler: the framework would copy it for each of them, on each request."""

    async def authorize_connection(self, connection: ASGIConnection) -> None:  # type: ignore[type-arg]
        """Ask the guards."""
        for guard in self.resolve_guards():
            await guard(connection, self)  # type: ignore[misc]


class Create:
    """
    Takes a new task of one type, as an ASGI application.

    Args:
        task_type: What is made.
    """

    def __init__(self, task_type: TaskType) -> None:
        self._task_type = task_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, have the task accepted, answer."""
        use_cases = use_cases_in(scope)
        caller, body = caller_in(scope), await read_object_in(scope, receive)
        same = same_in(scope, self._task_type, await read_body(scope, receive))
        taken = await use_cases.once(
            same,
            lambda: use_cases.create(
                self._task_type, body, caller, row_of=lambda task: row_of_new(scope, task, body), same=same
            ),
        )
        task = taken.task
        set_audit_target(scope, task.id)
        scope["state"][LOGGED] = {"task_id": task.id, "provider": task.provider, "model": task.model}
        headers = [(b"location", f"{RESULT_PATH}/{task.id}".encode())]
        if taken.replayed:
            headers.append((REPLAYED.lower().encode(), b"true"))
        else:
            use_cases.metrics.created(task)
        answer = _encode(Envelope(data=created_task(task), message="The task was accepted."))
        await send_json(send, 201, answer, *headers)


async def send_json(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    """Send a whole answer."""
    kind, length = (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [kind, length, *headers]})
    await send({"type": "http.response.body", "body": body, "more_body": False})
