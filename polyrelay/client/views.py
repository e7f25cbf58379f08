"""Tasks, models and providers as the task API returns them. Unknown fields are ignored; missing ones have a default."""

from datetime import datetime
from typing import Any, Final

from msgspec import Struct

FINAL_STATUSES: Final = frozenset({"completed", "failed", "cancelled"})


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
