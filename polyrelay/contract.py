"""The provider contract: what a service class offers, receives and answers."""

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

from msgspec import Struct

from polyrelay.errors import Answer

P = TypeVar("P", bound="Params")


class TaskType(StrEnum):
    """What a model makes."""

    IMAGE = "image"
    VIDEO = "video"
    TEXT = "text"


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    A model's input, parsed strictly: subclass it and add fields with types and `msgspec.Meta` limits.

    The prompt is a field like any other, so each model states whether it is required and how long it may be.
    Rules across fields go into `__post_init__` as `ValueError`; their text reaches the caller.
    """


ParamsClass: TypeAlias = type[Params]

RESERVED_FIELDS: Final = frozenset({"user_id", "provider", "model", "priority", "deadline_s", "fallbacks", "metadata"})
"""What every task is created with; no model may have params of these names."""


class Model(Struct, frozen=True, kw_only=True):
    """
    A model that a service serves.

    Attributes:
        name: What callers send as `model`.
        type: What it makes.
        params: Strict input; its JSON Schema is published in the catalogue.
        timeout_s: From the first submit to the final outcome, in seconds.
        idempotent_submit: The vendor guarantees that a repeated submit of the same task does nothing.
        max_open: Submissions that the vendor takes at once, or None where that is not known.
        deprecated: The vendor shut it down, or will, on this day.
        description: One line for people who choose a model.
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
    One attempt at one task, as a service sees it.

    Attributes:
        task_id: The task's id; the same for every attempt.
        attempt: 1 for the first submission.
        model: Name of one of the service's models.
        params: An instance of that model's `params`.
        deadline: When the task ends at the latest, aware UTC.
    """

    task_id: str
    attempt: int
    model: str
    params: P
    deadline: datetime


class ImageOutput(Struct, frozen=True, kw_only=True, tag="image"):
    """
    A picture, as a link or as bytes.

    Attributes:
        url: Where the vendor serves it, or None where `data` holds it.
        data: The file itself.
        media_type: Such as "image/png", or None where unknown.
        lifetime_s: How long `url` works from now on, in seconds, or None where the vendor does not say.
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
        text: What the model wrote.
        finish_reason: The vendor's word for why it ended, such as "stop" or "length".
    """

    text: str
    finish_reason: str | None = None


Output: TypeAlias = ImageOutput | VideoOutput | TextOutput


class Usage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the vendor counted. None where it does not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    images: int | None = None
    seconds: float | None = None


class Pending(Struct, frozen=True, kw_only=True, tag="pending"):
    """
    The provider works on it.

    Attributes:
        operation: Opaque to the server; stored with the attempt and handed back to `poll`. At most 4 KiB.
        poll_after_s: Wait before the next `poll`, in seconds.
        progress: 0.0 to 1.0, or None where the provider does not say.
        unknown_status: The vendor's word for how it stands, where that is none that its pages name; kept for people.
        answer: The vendor's answer as it came, where a relay must hand it on.
        request_id: The vendor's id of the request that was answered, for its support.
    """

    operation: str
    poll_after_s: float = 2.0
    progress: float | None = None
    unknown_status: str | None = None
    answer: Answer | None = None
    request_id: str | None = None


class Done(Struct, frozen=True, kw_only=True, tag="done"):
    """
    It is finished and succeeded.

    Attributes:
        outputs: At least one.
        usage: What the vendor counted, where it says.
        request_id: The vendor's id of the request that brought the result.
        answer: The vendor's answer as it came, where a relay must hand it on.
    """

    outputs: tuple[Output, ...]
    usage: Usage | None = None
    request_id: str | None = None
    answer: Answer | None = None


Outcome: TypeAlias = Pending | Done


class Delta(Struct, frozen=True, kw_only=True):
    """
    A piece of a text that is being written.

    Attributes:
        text: What was added; may be empty.
        finish_reason: Set on the last piece of the text.
        usage: Set where the vendor counted, usually at the end.
    """

    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None


class Service(Protocol):
    """
    Talks to one vendor API for some models. Every failure is raised as a `ProviderError`.

    Optional capabilities are further methods: see `Cancels` and `Streams`.
    """

    @property
    def models(self) -> Sequence[Model]:
        """The models that it serves."""

    async def submit(self, job: Job[Any]) -> Outcome:
        """Start the generation: `Done` where the vendor answers at once, else `Pending`. Called once per attempt."""

    async def poll(self, job: Job[Any], operation: str) -> Outcome:
        """Ask for the outcome of an operation that `submit` answered. May be repeated at any time."""

    async def aclose(self) -> None:
        """Close connections. Called once, at the end of the process."""


@runtime_checkable
class Cancels(Protocol):
    """A service that can ask the vendor to stop an operation."""

    async def cancel(self, job: Job[Any], operation: str) -> None:
        """Ask the vendor to stop. Raises `Rejected` where it is too late."""


@runtime_checkable
class Streams(Protocol):
    """A service that can hand out a text while it is being written."""

    def stream(self, job: Job[Any]) -> AsyncIterator[Delta]:
        """Submit, then yield the text piece by piece; the last piece carries the `finish_reason`."""


def _one_of_url_and_data(url: str | None, data: bytes | None) -> None:
    if (url is None) == (data is None):
        raise ValueError("exactly one of url and data must be set")
