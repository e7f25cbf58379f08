"""Talks: the vendor's scripted answers for one model, written by the author of a plugin."""

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
        json: The body, encoded as JSON. Set at most one of `json` and `body`.
        body: The body as bytes, for instance server-sent events.
        headers: Headers of the answer. A JSON body has its content type without an entry here.
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
    The vendor's answers for one model. Where a call makes several requests, a field has their answers in order.

    Attributes:
        model: One of the provider's models. Models with the same service and params class share one talk.
        params: Input that the model accepts.
        also: Further models that get the same answers and have other params, with input for each. Only the checks that
            depend on the params run for them.
        accepted: To a submit that the vendor accepts. Where the vendor answers a submit with the result, that result.
        refused: To a submit whose input the vendor refuses.
        working: To a poll: the generation is not finished.
        done: To a poll: the generation succeeded. Left out where the vendor answers a submit with the result.
        failed: To a poll: the generation failed.
        cancelled: To `cancel`: the vendor stopped.
        too_late: To `cancel`: the vendor cannot stop any more.
        streamed: To `stream`: the complete text.
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
        """Whether the service must poll for the result after a submit."""
        return bool(replies_of(self.done))

    @property
    def others(self) -> "tuple[Talk, ...]":
        """A talk with the same answers for each model in `also`."""
        return tuple(structs.replace(self, model=model, params=params, also={}) for model, params in self.also.items())


class Break(Struct, frozen=True, kw_only=True):
    """
    A connection that fails in place of an answer.

    Attributes:
        how: No connection; no answer in time; closed before the answer; closed in the middle of the body.
        reply: The answer whose body is truncated, for "cut_body".
    """

    how: Literal["connect", "read_timeout", "cut", "cut_body"]
    reply: Reply = Reply()

    def error(self, request: httpx.Request) -> httpx.TransportError:
        """The error that httpx raises for it."""
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
    """These replies with the last one replaced: the last request of a call starts or reads something."""
    return (*replies_of(replies)[:-1], last)
