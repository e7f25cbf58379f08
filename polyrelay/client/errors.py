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
    """The call did not give an answer that can be used."""


class NotReached(ClientError):
    """No server answered at that URL. After a `create` it is not known whether a task was made."""

    def __init__(self, url: str, reason: str, *, sent: bool) -> None:
        super().__init__(f"{url} did not answer: {reason}")
        self.url = url
        self.reason = reason
        self.sent = sent


class WaitTimeout(ClientError):
    """The task did not end in the time given; it goes on. `task` is how it stood."""

    def __init__(self, task: TaskView, timeout_s: float) -> None:
        super().__init__(f"task {task.task_id} is still {task.status} after {timeout_s:g} s")
        self.task = task


class ApiError(ClientError):
    """
    The server refused the call.

    Attributes:
        status: HTTP status.
        code: A constant for programs, such as "invalid_request".
        message: One sentence for people.
        details: What is wrong, one mapping a field.
        request_id: Names the call in the server's logs, or None.
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
