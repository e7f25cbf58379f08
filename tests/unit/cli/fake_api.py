"""A fake task API."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from click.testing import Result

Run = Callable[..., Result]

IMAGE_PARAMS = {
    "type": "object",
    "properties": {
        "prompt": {"type": "string"},
        "size": {"type": "string"},
        "seed": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "binary_data_base64": {"type": "array", "items": {"type": "string"}},
        "image_urls": {"type": "array", "items": {"type": "string"}},
    },
}


class FakeApi:
    """Answers creates, reads, lists, cancels, retries and deletes of one task. `posted` has the bodies of creates."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.task: dict[str, Any] = {
            "task_id": "task_1",
            "type": "image",
            "status": "completed",
            "provider": "p",
            "model": "m",
            "image_urls": ["/files/0.png"],
        }
        self.total, self.total_is_exact = 1, True
        self.url = ""

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """The status and body of the answer."""
        self.asked.append(f"{method} {path}")
        if path == "/files/0.png":
            return 200, b"picture"
        if path.endswith("/cancel"):
            return 200, _good({**self.task, "cancel": "requested", "may_be_billed": True})
        if path.endswith("/retry"):
            return 200, _good({**self.task, "status": "pending", "attempts": 1, "may_be_billed": True})
        if method == "POST":
            self.posted.append(json.loads(body))
            return 201, _good({**self.task, "status": "pending"})
        if path.startswith("/api/v1/ai/models"):
            return 200, _good({"models": [{"provider": "p", "name": "m", "type": "image", "params": IMAGE_PARAMS}]})
        if path.startswith("/api/v1/ai/tasks"):
            counted = {"total": self.total, "total_is_exact": self.total_is_exact}
            return 200, _good({"tasks": [self.task], **counted, "limit": 20, "offset": 0, "next_after": None})
        if path.endswith("/task_1"):
            return 200, _good(self.task)
        error = {"code": "task_not_found", "message": "there is no task", "details": [], "request_id": "r"}
        return 404, json.dumps({"success": False, "data": None, "message": "", "error": error}).encode()


def _good(data: Any) -> bytes:
    return json.dumps({"success": True, "data": data, "message": ""}).encode()


def handler_of(fake: FakeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, content = fake.answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - names of the base class

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Log nothing."""

    return Handler
