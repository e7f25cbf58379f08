"""
The errors of the client.

    ClientError
    ├── NotReached       no server answered
    ├── ApiError         the server answered with an error
    └── WaitTimeout      the task did not end in the given time
"""

from collections.abc import Mapping, Sequence
from typing import Any

from polyrelay.client.views import TaskView


class ClientError(Exception):
    """The call has no usable answer."""


class NotReached(ClientError):
    """
    No server answered at that URL.

    Attributes:
        url: The URL that was called.
        reason: Why there was no answer.
        sent: Whether the request may have been sent. If so, a `create` may have created a task.
    """

    def __init__(self, url: str, reason: str, *, sent: bool) -> None:
        super().__init__(f"{url} did not answer: {reason}")
        self.url = url
        self.reason = reason
        self.sent = sent


class WaitTimeout(ClientError):
    """The task did not end within the given time and continues to run. `task` is its last known state."""

    def __init__(self, task: TaskView, timeout_s: float) -> None:
        super().__init__(f"task {task.task_id} is still {task.status} after {timeout_s:g} s")
        self.task = task


class ApiError(ClientError):
    """
    The server answered with an error.

    Attributes:
        status: HTTP status.
        code: The error code, such as "invalid_request".
        message: One sentence for people.
        details: One mapping for each field that is wrong.
        request_id: Id of the request in the server's logs, or None.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Sequence[Mapping[str, Any]] = (),
        request_id: str | None = None,
    ) -> None:
        super().__init__(f"{message} ({code}, HTTP {status})")
        self.status = status
        self.code = code
        self.message = message
        self.details = tuple(details)
        self.request_id = request_id
