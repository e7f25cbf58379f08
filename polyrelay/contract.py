"""Provider contract: what a service class offers, receives and returns."""

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

from msgspec import Struct

from polyrelay.errors import Answer

P = TypeVar("P", bound="Params")


class TaskType(StrEnum):
    """The kind of output that a model generates."""

    IMAGE = "image"
    VIDEO = "video"
    TEXT = "text"


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    A model's input, parsed strictly: an unknown field is an error.

    Subclass it and add fields with types and `msgspec.Meta` limits.
    The prompt is a field like any other, so each model states whether it is required and how long it may be.
    Rules that concern several fields raise a `ValueError` in `__post_init__`; the caller sees its text.
    """


ParamsClass: TypeAlias = type[Params]

RESERVED_FIELDS: Final = frozenset({"user_id", "provider", "model", "priority", "deadline_s", "fallbacks", "metadata"})
"""Fields that every task has; no model may have params with these names."""


class Model(Struct, frozen=True, kw_only=True):
    """
    A model that a service serves.

    Attributes:
        name: The value of `model` in requests.
        type: The kind of output.
        params: Class of the input; its JSON Schema is published in the catalogue.
        timeout_s: Longest time from the first submit to the final outcome, in seconds.
        idempotent_submit: The vendor guarantees that a repeated submit of the same task has no effect.
        max_open: Submissions that the vendor accepts at the same time, or None where that is not known.
        deprecated: The day on which the vendor shut the model down or will shut it down.
        description: One line that helps people to choose a model.
    """

    name: str
    type: TaskType
    params: ParamsClass
    timeout_s: float
    idempotent_submit: bool = False
    max_open: int | None = None
    deprecated: date | None = None
    description: str = ""


class Job(Struct, Generic[P], frozen=True, kw_only=True):
    """
    One attempt of one task, as a service sees it.

    Attributes:
        task_id: The task's id; the same for every attempt.
        attempt: The attempt's number; 1 for the first submission.
        model: Name of one of the service's models.
        params: An instance of that model's `params`.
        deadline: The latest moment at which the task ends, aware UTC.
    """

    task_id: str
    attempt: int
    model: str
    params: P
    deadline: datetime


class ImageOutput(Struct, frozen=True, kw_only=True, tag="image"):
    """
    An image, as a link or as bytes. Exactly one of `url` and `data` is set.

    Attributes:
        url: The vendor's link to the file.
        data: The file's bytes.
        media_type: Such as "image/png", or None where it is unknown.
        lifetime_s: Seconds for which `url` works from now on, or None where the vendor does not say.
    """

    url: str | None = None
    data: bytes | None = None
    media_type: str | None = None
    lifetime_s: float | None = None

    def __post_init__(self) -> None:
        _one_of_url_and_data(self.url, self.data)


class VideoOutput(Struct, frozen=True, kw_only=True, tag="video"):
    """A video, as a link or as bytes. The fields are those of `ImageOutput`."""

    url: str | None = None
    data: bytes | None = None
    media_type: str | None = None
    lifetime_s: float | None = None

    def __post_init__(self) -> None:
        _one_of_url_and_data(self.url, self.data)


class TextOutput(Struct, frozen=True, kw_only=True, tag="text"):
    """
    A text.

    Attributes:
        text: The text that the model generated.
        finish_reason: Why the text ended, as the vendor names it, such as "stop" or "length".
    """

    text: str
    finish_reason: str | None = None


Output: TypeAlias = ImageOutput | VideoOutput | TextOutput


class Usage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The amounts that the vendor counted; None where the vendor does not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    images: int | None = None
    seconds: float | None = None


class Pending(Struct, frozen=True, kw_only=True, tag="pending"):
    """
    The generation is not finished.

    Attributes:
        operation: The vendor's handle; opaque to the server, stored with the attempt, passed to `poll`. At most 4 KiB.
        poll_after_s: Wait before the next `poll`, in seconds.
        progress: 0.0 to 1.0, or None where the vendor does not say.
        unknown_status: The vendor's status, where its documentation does not name that status; stored for people.
        answer: The vendor's answer, unchanged, where a relay returns it to its caller; else None.
        request_id: The vendor's id of the request, for the vendor's support.
    """

    operation: str
    poll_after_s: float = 2.0
    progress: float | None = None
    unknown_status: str | None = None
    answer: Answer | None = None
    request_id: str | None = None


class Done(Struct, frozen=True, kw_only=True, tag="done"):
    """
    The generation succeeded.

    Attributes:
        outputs: At least one.
        usage: The amounts that the vendor counted, or None where it does not say.
        request_id: The vendor's id of the request that returned the result.
        answer: The vendor's answer, unchanged, where a relay returns it to its caller; else None.
    """

    outputs: tuple[Output, ...]
    usage: Usage | None = None
    request_id: str | None = None
    answer: Answer | None = None


Outcome: TypeAlias = Pending | Done


class Delta(Struct, frozen=True, kw_only=True):
    """
    One piece of a streamed text.

    Attributes:
        text: The text of this piece; may be empty.
        finish_reason: Set on the last piece.
        usage: Set on the piece with which the vendor reports its counts, usually the last one.
    """

    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None


class Service(Protocol):
    """
    Calls one API of a vendor for some models. Every failure is raised as a `ProviderError`.

    Optional capabilities are further methods: see `Cancels` and `Streams`.
    """

    @property
    def models(self) -> Sequence[Model]:
        """The models that this service serves."""

    async def submit(self, job: Job[Any]) -> Outcome:
        """Start the generation; `Done` where the vendor's answer has the result, else `Pending`. Once per attempt."""

    async def poll(self, job: Job[Any], operation: str) -> Outcome:
        """Ask for the outcome of an operation that `submit` returned. May be repeated at any time."""

    async def aclose(self) -> None:
        """Close the connections. Called once, at the end of the process."""


@runtime_checkable
class Cancels(Protocol):
    """A service that can ask the vendor to stop an operation."""

    async def cancel(self, job: Job[Any], operation: str) -> None:
        """Ask the vendor to stop the operation. Raises `Rejected` where it is too late."""


@runtime_checkable
class Streams(Protocol):
    """A service that can return a text piece by piece while the model generates it."""

    def stream(self, job: Job[Any]) -> AsyncIterator[Delta]:
        """Submit, then yield the text piece by piece; the last piece carries the `finish_reason`."""


def _one_of_url_and_data(url: str | None, data: bytes | None) -> None:
    if (url is None) == (data is None):
        raise ValueError("exactly one of url and data must be set")
