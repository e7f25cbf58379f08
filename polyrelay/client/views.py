"""Tasks, models and providers as the task API returns them. Unknown fields are ignored; missing ones have a default."""

from datetime import datetime
from typing import Any, Final

from msgspec import Struct

FINAL_STATUSES: Final = frozenset({"completed", "failed", "cancelled"})


class TaskCreated(Struct, frozen=True, kw_only=True):
    """A task that was created."""

    task_id: str
    type: str
    status: str
    provider: str
    model: str


class TaskCancelled(Struct, frozen=True, kw_only=True):
    """
    The outcome of a cancellation request.

    Attributes:
        cancel: "cancelled" where the task has ended; "requested" where the server will end it: read the task again.
        may_be_billed: Whether the vendor may bill the task.
    """

    task_id: str
    status: str
    cancel: str
    may_be_billed: bool = True


class TaskRetried(Struct, frozen=True, kw_only=True):
    """
    A failed task that waits for a worker again.

    Attributes:
        attempts: Number of attempts so far.
        may_be_billed: Whether the vendor may have billed one of these attempts.
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
    A task that was deleted.

    Attributes:
        status: Its status before it was deleted.
        cancelled: Whether it was open and was cancelled first.
        vendor_stopped: Whether the vendor confirmed that it stopped the operation.
        may_be_billed: Whether the vendor may bill the task.
    """

    task_id: str = ""
    status: str = ""
    cancelled: bool = False
    vendor_stopped: bool = False
    may_be_billed: bool = False


class ServedBy(Struct, frozen=True, kw_only=True):
    """The provider and model that serve a task."""

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
        progress: 0.0 to 1.0, or None where the provider does not say.
        usage: The amounts that the vendor counted, such as {"total_tokens": 12}.
        error: Set where the task failed or was cancelled.
        served_by: The provider and model of the latest attempt.
        fallbacks: Alternatives in order, such as {"provider": …, "model": …, "params": …}.
        cancel_requested: Time of the cancellation request, where there was one after the submit.
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
        """Whether the task has ended: completed, failed or cancelled."""
        return self.status in FINAL_STATUSES

    @property
    def urls(self) -> list[str]:
        """Links to all files of the result, in order and without duplicates."""
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

    `total` is the number of matching tasks, counted up to a limit: where `total_is_exact` is false, there are more.
    `next_after` is the value of `after` for the next page.
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
    """A provider of the catalogue, and the plugin that registered it. `reason` says why it is not available."""

    name: str
    plugin: str | None = None
    package: str | None = None
    version: str | None = None
    models: int = 0
    available: bool = True
    reason: str | None = None


class FailedPlugin(Struct, frozen=True, kw_only=True):
    """A plugin that the server could not load, and the reason."""

    plugin: str
    package: str | None = None
    version: str | None = None
    error: str = ""


class ProviderList(Struct, frozen=True, kw_only=True):
    """The server's providers, and the plugins that it could not load."""

    providers: list[ProviderView]
    failed_plugins: list[FailedPlugin] = []
