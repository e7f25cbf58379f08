"""What the API answers, read leniently: unknown fields are ignored, missing ones have a default."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

import httpx
import msgspec
from msgspec import Struct

T = TypeVar("T")

FINAL_STATUSES: Final = frozenset({"completed", "failed", "cancelled"})
_SHOWN_OF_A_BODY: Final = 200


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

    def __init__(self, task: "TaskView", timeout_s: float) -> None:
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


class TaskCreated(Struct, frozen=True, kw_only=True):
    """A task that was accepted."""

    task_id: str
    type: str
    status: str
    provider: str
    model: str


class TaskCancelled(Struct, frozen=True, kw_only=True):
    """
    What became of a request to cancel.

    Attributes:
        cancel: "cancelled" where the task has ended, "requested" where the server still ends it; look at it again.
        may_be_billed: Whether the vendor may bill what it was given.
    """

    task_id: str
    status: str
    cancel: str
    may_be_billed: bool = True


class TaskRetried(Struct, frozen=True, kw_only=True):
    """
    A failed task that waits for a worker again.

    Attributes:
        attempts: How many were made before.
        may_be_billed: Whether the vendor may have been paid for one of them already.
    """

    task_id: str
    type: str
    status: str
    provider: str = ""
    model: str = ""
    deadline: datetime | None = None
    attempts: int = 0
    may_be_billed: bool = True


class TaskRemoved(Struct, frozen=True, kw_only=True):
    """
    A task that is gone.

    Attributes:
        status: What it had before.
        cancelled: Whether it was still open.
        vendor_stopped: Whether the vendor confirmed that it stopped what was under way.
        may_be_billed: Whether the vendor may bill what it was given.
    """

    task_id: str = ""
    status: str = ""
    cancelled: bool = False
    vendor_stopped: bool = False
    may_be_billed: bool = False


class ServedBy(Struct, frozen=True, kw_only=True):
    """Who was given a task."""

    provider: str
    model: str


class TaskAttempt(Struct, frozen=True, kw_only=True):
    """One submission to a vendor, and why it failed."""

    number: int
    provider: str = ""
    model: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    error: "TaskError | None" = None


class TaskError(Struct, frozen=True, kw_only=True):
    """Why a task failed: `code` is for programs, `message` for people."""

    code: str = "unknown"
    message: str = ""
    vendor_code: str | None = None
    request_id: str | None = None


class TaskView(Struct, frozen=True, kw_only=True):
    """
    A task as the API shows it.

    Attributes:
        status: pending, processing, completed, failed or cancelled.
        progress: 0.0 to 1.0 where the provider says.
        usage: What the vendor counted, such as {"total_tokens": 12}.
        error: Set where it failed or was cancelled.
        served_by: Who works on it or completed it.
        fallbacks: Whom to ask instead, such as {"provider": …, "model": …, "params": …}.
        cancel_requested: When its cancel was asked for, after it was submitted.
        attempts: All submissions, oldest first; not in lists.
    """

    task_id: str
    type: str
    status: str
    provider: str = ""
    model: str = ""
    user_id: str | None = None
    prompt: str | None = None
    phase: str | None = None
    created: datetime | None = None
    updated: datetime | None = None
    progress: float | None = None
    image_url: str | None = None
    image_urls: list[str] | None = None
    video_url: str | None = None
    video_urls: list[str] | None = None
    text_result: str | None = None
    text_results: list[str] | None = None
    usage: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    error: TaskError | None = None
    priority: str | None = None
    fallbacks: list[dict[str, Any]] | None = None
    served_by: ServedBy | None = None
    deadline: datetime | None = None
    cancel_requested: datetime | None = None
    attempts: list[TaskAttempt] | None = None

    @property
    def final(self) -> bool:
        """Whether nothing happens any more by itself."""
        return self.status in FINAL_STATUSES

    @property
    def urls(self) -> list[str]:
        """Links to all files of the result, in order, each once."""
        links = [*(self.image_urls or ()), self.image_url, *(self.video_urls or ()), self.video_url]
        return list(dict.fromkeys(link for link in links if link))

    @property
    def texts(self) -> list[str]:
        """All texts of the result."""
        single = [] if self.text_result is None else [self.text_result]
        return self.text_results or single


class TaskPage(Struct, frozen=True, kw_only=True):
    """
    One page of a list, newest first.

    `total` counts all that match, up to a bound: where `total_is_exact` is false, there are more. `next_after` leads to
    the next page.
    """

    tasks: list[TaskView]
    total: int = 0
    total_is_exact: bool = True
    limit: int = 0
    offset: int = 0
    next_after: str | None = None


class ModelView(Struct, frozen=True, kw_only=True):
    """A model of the catalogue. `params` is the JSON Schema of its input."""

    provider: str
    name: str
    type: str
    params: dict[str, Any] = {}
    available: bool = True
    reason: str | None = None
    deprecated: str | None = None
    description: str = ""


class ProviderView(Struct, frozen=True, kw_only=True):
    """A provider of the catalogue, and the plugin that brought it. `reason` says why it is not available."""

    name: str
    plugin: str | None = None
    package: str | None = None
    version: str | None = None
    models: int = 0
    available: bool = True
    reason: str | None = None


class FailedPlugin(Struct, frozen=True, kw_only=True):
    """A plugin that the server left out, and why."""

    plugin: str
    package: str | None = None
    version: str | None = None
    error: str = ""


class ProviderList(Struct, frozen=True, kw_only=True):
    """The server's providers, and the plugins that it left out."""

    providers: list[ProviderView]
    failed_plugins: list[FailedPlugin] = []


class _Envelope(Struct, Generic[T], frozen=True, kw_only=True):
    data: T


class _Problem(Struct, frozen=True, kw_only=True):
    code: str = "unknown"
    message: str = ""
    details: list[dict[str, Any]] = []
    request_id: str | None = None


class _Refusal(Struct, frozen=True, kw_only=True):
    message: str = ""
    error: _Problem = _Problem()


def read_answer(response: httpx.Response, kind: type[T]) -> T:
    """
    The `data` of an answer whose body was read.

    Raises:
        ApiError: The server refused, or what answered is not the task API.
    """
    if not response.is_success:
        raise refusal(response)
    try:
        return msgspec.json.decode(response.content, type=_Envelope[kind]).data  # type: ignore[valid-type]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(
            response.status_code, "not_understood", f"the answer of {response.url} is not the task API's: {error}"
        ) from error


def refusal(response: httpx.Response) -> ApiError:
    """What an answer that is not a success means; its body was read."""
    try:
        refused = msgspec.json.decode(response.content, type=_Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError):
        shown = response.text[:_SHOWN_OF_A_BODY].strip()
        return ApiError(response.status_code, "http_error", shown or response.reason_phrase)
    problem = refused.error
    return ApiError(
        response.status_code,
        problem.code,
        problem.message or refused.message or response.reason_phrase,
        problem.details,
        problem.request_id or response.headers.get("x-request-id"),
    )
