"""What a plugin's author tells the kit: how the vendor answers, written down for one model."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import httpx
import msgspec
from msgspec import Struct, structs


class Reply(Struct, frozen=True, kw_only=True):
    """
    One answer of the vendor, recorded or made up.

    Attributes:
        status: HTTP status.
        json: The body as JSON; or
        body: the body as it is, for instance server-sent events.
        headers: Those that matter. A JSON body gets its content type by itself.
    """

    status: int = 200
    json: object = None
    body: bytes | None = None
    headers: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        if self.json is not None and self.body is not None:
            raise ValueError("a Reply has json or body, not both")

    @property
    def content(self) -> bytes:
        """The body's bytes."""
        return (self.body or b"") if self.json is None else msgspec.json.encode(self.json)


Replies: TypeAlias = Reply | Sequence[Reply]


class Talk(Struct, frozen=True, kw_only=True):
    """
    How one model's vendor answers. Where a call of the service makes several requests, their answers in order.

    Attributes:
        model: One of the provider's models; models with the same service and params need one talk together.
        params: A caller's input that the model takes.
        also: Further models that get the same answers and take other params, with a caller's input for each. They
            are checked for what depends on the params; the answers are checked once.
        accepted: The vendor takes a submit; of a vendor that answers at once, with the result.
        refused: The vendor refuses a submit for its input.
        working: To a poll: it is not finished.
        done: To a poll: it is finished. Left out where the vendor answers a submit with the result.
        failed: To a poll: the generation failed.
        cancelled: To `cancel`: the vendor stopped.
        too_late: To `cancel`: the vendor does not stop any more.
        streamed: To `stream`: the whole text.
    """

    model: str
    params: Mapping[str, Any]
    accepted: Replies
    refused: Replies
    working: Replies = ()
    done: Replies = ()
    failed: Replies = ()
    cancelled: Replies = ()
    too_late: Replies = ()
    streamed: Replies = ()
    also: Mapping[str, Mapping[str, Any]] = {}

    def __post_init__(self) -> None:
        for name in ("accepted", "refused"):
            if not replies_of(getattr(self, name)):
                raise ValueError(f"the talk of {self.model!r} has no answers for {name!r}")
        if self.polls and not replies_of(self.working):
            raise ValueError(f"the talk of {self.model!r} has answers for done, but none for working")

    @property
    def polls(self) -> bool:
        """Whether the vendor works on it after the submit."""
        return bool(replies_of(self.done))

    @property
    def others(self) -> "tuple[Talk, ...]":
        """This talk for each of the further models."""
        return tuple(structs.replace(self, model=model, params=params, also={}) for model, params in self.also.items())


class Break(Struct, frozen=True, kw_only=True):
    """
    The connection fails instead of an answer.

    Attributes:
        how: No connection; no answer in time; a cut before the answer; a cut in the middle of its body.
        reply: What is cut in the middle.
    """

    how: Literal["connect", "read_timeout", "cut", "cut_body"]
    reply: Reply = Reply()

    def error(self, request: httpx.Request) -> httpx.TransportError:
        """As httpx raises it."""
        match self.how:
            case "connect":
                return httpx.ConnectError("connection refused", request=request)
            case "read_timeout":
                return httpx.ReadTimeout("", request=request)
            case "cut":
                return httpx.RemoteProtocolError("server disconnected without sending a response", request=request)
            case "cut_body":
                return httpx.ReadError("connection reset by peer", request=request)


Turn: TypeAlias = Reply | Break


def replies_of(replies: Replies) -> tuple[Reply, ...]:
    """One or several replies as several."""
    return (replies,) if isinstance(replies, Reply) else tuple(replies)


def ending_with(replies: Replies, last: Turn) -> tuple[Turn, ...]:
    """These replies with another one in the place of the last, which is the one that starts or answers something."""
    return (*replies_of(replies)[:-1], last)
