"""Response bodies of tasks and lists of tasks, and the envelope of every successful response."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, Generic, TypeAlias, TypeVar

from msgspec import Struct

from core.attempts import Attempt, Failure
from core.priorities import Priority
from core.task_states import PHASES, State, Status
from core.tasks import Choice, Result, Task, TaskSummary
from polyrelay import TaskType, Usage

T = TypeVar("T")

FileUrl: TypeAlias = Callable[[int], str]
"""The link to the stored file of the result with an index."""

MESSAGES: Final = {
    Status.PENDING: "The task waits for a worker.",
    Status.PROCESSING: "The provider works on the task.",
    Status.COMPLETED: "The task is completed.",
    Status.FAILED: "The task failed.",
    Status.CANCELLED: "The task was cancelled.",
}


class Envelope(Struct, Generic[T], frozen=True, kw_only=True):
    """The envelope of every successful response. The OpenAPI description publishes it as `Answer`."""

    success: bool = True
    data: T
    message: str = ""


class FailureView(Struct, frozen=True, kw_only=True):
    """Why a task or an attempt failed: `code` is ours and constant, the rest is what the vendor reported."""

    code: str
    message: str
    vendor_code: str | None = None
    http_status: int | None = None
    request_id: str | None = None


class ResultView(Struct, frozen=True, kw_only=True):
    """One output. `url` works until `expires`, or as long as the task exists if that is null."""

    type: TaskType
    url: str | None = None
    expires: datetime | None = None
    media_type: str | None = None
    size_bytes: int | None = None
    source_url: str | None = None
    text: str | None = None
    finish_reason: str | None = None


class UsageView(Struct, frozen=True, kw_only=True):
    """What the vendor counted; null where it reports nothing."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    images: int | None = None
    seconds: float | None = None


class AttemptView(Struct, frozen=True, kw_only=True):
    """One submission to the vendor."""

    number: int
    provider: str
    model: str
    started: datetime
    accepted: datetime | None = None
    ended: datetime | None = None
    error: FailureView | None = None


class FallbackView(Struct, frozen=True, kw_only=True):
    """A further choice, used where the ones before it cannot take the task."""

    provider: str
    model: str
    params: dict[str, Any]


class ServedByView(Struct, frozen=True, kw_only=True):
    """The provider and model that the task was submitted to."""

    provider: str
    model: str


class TaskView(Struct, frozen=True, kw_only=True):
    """A task with its results. Every field is always present; what is not known is null or empty."""

    task_id: str
    type: TaskType
    status: Status
    phase: str | None
    provider: str
    model: str
    fallbacks: list[FallbackView]
    served_by: ServedByView | None
    priority: Priority
    user_id: str
    prompt: str | None
    created: datetime
    updated: datetime
    deadline: datetime
    cancel_requested: datetime | None
    progress: float | None
    image_url: str | None
    image_urls: list[str]
    video_url: str | None
    video_urls: list[str]
    text_result: str | None
    text_results: list[str]
    results: list[ResultView]
    usage: UsageView | None
    error: FailureView | None
    attempts: list[AttemptView]
    metadata: dict[str, Any]


class TaskSummaryView(Struct, frozen=True, kw_only=True):
    """A task in a list: without texts, attempts and metadata."""

    task_id: str
    type: TaskType
    status: Status
    phase: str | None
    provider: str
    model: str
    user_id: str
    prompt: str | None
    created: datetime
    updated: datetime
    progress: float | None
    image_url: str | None
    image_urls: list[str]
    video_url: str | None
    video_urls: list[str]
    error: FailureView | None


class TaskList(Struct, frozen=True, kw_only=True):
    """
    One page, newest first. `next_after` is the `after` of the next page, or null at the end.

    `total` is counted up to a thousand; if `total_is_exact` is false, more tasks match.
    """

    tasks: list[TaskSummaryView]
    total: int
    total_is_exact: bool
    limit: int
    offset: int
    next_after: str | None


def task_view(task: Task, file_url: FileUrl) -> TaskView:
    """A task with its results; they are included once it is completed, because their links may change before."""
    results = _result_views(task, file_url)
    images, videos = _links(results, TaskType.IMAGE), _links(results, TaskType.VIDEO)
    texts = [result.text for result in results if result.text is not None]
    return TaskView(
        task_id=task.id,
        type=task.type,
        status=task.status,
        phase=_phase(task.state),
        provider=task.provider,
        model=task.model,
        fallbacks=[_fallback_view(fallback) for fallback in task.fallbacks],
        served_by=_served_by(task),
        priority=task.priority,
        user_id=task.user_id,
        prompt=task.prompt,
        created=task.created,
        updated=task.updated,
        deadline=task.deadline,
        cancel_requested=task.cancel_requested,
        progress=task.progress,
        image_url=_first(images),
        image_urls=images,
        video_url=_first(videos),
        video_urls=videos,
        text_result=_first(texts),
        text_results=texts,
        results=results,
        usage=None if task.usage is None else _usage_view(task.usage),
        error=_failure_view(task.failure),
        attempts=[_attempt_view(attempt) for attempt in task.attempts],
        metadata=task.metadata,
    )


def summary_view(task: TaskSummary, file_url: FileUrl) -> TaskSummaryView:
    """A task in a list."""
    results = _result_views(task, file_url)
    images, videos = _links(results, TaskType.IMAGE), _links(results, TaskType.VIDEO)
    return TaskSummaryView(
        task_id=task.id,
        type=task.type,
        status=task.state.status,
        phase=_phase(task.state),
        provider=task.provider,
        model=task.model,
        user_id=task.user_id,
        prompt=task.prompt,
        created=task.created,
        updated=task.updated,
        progress=task.progress,
        image_url=_first(images),
        image_urls=images,
        video_url=_first(videos),
        video_urls=videos,
        error=_failure_view(task.failure),
    )


def _result_views(task: Task | TaskSummary, file_url: FileUrl) -> list[ResultView]:
    if task.state is not State.COMPLETED:
        return []
    return [_result_view(result, file_url(index)) for index, result in enumerate(task.results)]


def _result_view(result: Result, stored_url: str) -> ResultView:
    stored = result.file is not None
    return ResultView(
        type=result.type,
        url=stored_url if stored else result.url,
        expires=None if stored else result.url_expires,
        media_type=result.media_type,
        size_bytes=result.size_bytes,
        source_url=result.url,
        text=result.text,
        finish_reason=result.finish_reason,
    )


def _fallback_view(choice: Choice) -> FallbackView:
    return FallbackView(provider=choice.provider, model=choice.model, params=choice.params)


def _served_by(task: Task) -> ServedByView | None:
    """The provider that works on the task or completed it; None while it is pending and after it failed."""
    if task.status not in (Status.PROCESSING, Status.COMPLETED) or not task.attempts:
        return None
    return ServedByView(provider=task.attempt.provider, model=task.attempt.model)


def _attempt_view(attempt: Attempt) -> AttemptView:
    return AttemptView(
        number=attempt.number,
        provider=attempt.provider,
        model=attempt.model,
        started=attempt.started,
        accepted=attempt.accepted,
        ended=attempt.ended,
        error=_failure_view(attempt.failure),
    )


def _failure_view(failure: Failure | None) -> FailureView | None:
    if failure is None:
        return None
    return FailureView(
        code=failure.code,
        message=failure.message,
        vendor_code=failure.vendor_code,
        http_status=failure.http_status,
        request_id=failure.request_id,
    )


def _usage_view(usage: Usage) -> UsageView:
    return UsageView(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        images=usage.images,
        seconds=usage.seconds,
    )


def _links(results: Iterable[ResultView], kind: TaskType) -> list[str]:
    return [result.url for result in results if result.type is kind and result.url is not None]


def _phase(state: State) -> str | None:
    return state.value if state in PHASES else None


def _first(items: Sequence[T]) -> T | None:
    return items[0] if items else None
