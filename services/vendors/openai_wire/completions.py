"""
Chat completions: params, requests, answers and streams in OpenAI's format, which Ark also uses.

Source: the packages `openai` 3.54.0 and `volcengine-ark-runtime` 5.0.54, read on 2026-11-22.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from core.catalogue import Entry
from polyrelay import (
    Answer,
    Delta,
    Done,
    GenerationFailed,
    Job,
    OutcomeUnknown,
    Params,
    ProtocolError,
    TextOutput,
    Usage,
    VendorHttp,
)
from services.vendors.images import ImageReference
from services.vendors.model_families import Families, SynchronousService, given
from services.vendors.numbers import count
from services.vendors.openai_wire.errors import error_of

PATH: Final = "/chat/completions"
TIMEOUT_S: Final = 600.0

Text = Annotated[str, Meta(min_length=1)]


class TextPart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="text"):
    """A text inside a message that also holds pictures."""

    text: Text


class ImageLink(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a picture is, and how closely the model should look."""

    url: ImageReference
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="image_url"):
    """A picture inside a message, for models that read pictures."""

    image_url: ImageLink


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: Text | Annotated[tuple[TextPart | ImagePart, ...], Meta(min_length=1)]


class ChatParams(Params, frozen=True, kw_only=True):
    """
    What every chat model takes.

    Attributes:
        prompt: One question; or `messages`, exactly one of the two.
        messages: A conversation, oldest turn first.
        system: Instructions put before the prompt or the conversation.
        max_tokens: Longest text, in tokens; with models that think, thinking may count.
    """

    prompt: Text | None = None
    messages: Annotated[tuple[Message, ...], Meta(min_length=1)] | None = None
    system: Text | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    stop: Text | Annotated[tuple[Text, ...], Meta(min_length=1, max_length=4)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None

    def __post_init__(self) -> None:
        if (self.prompt is None) == (self.messages is None):
            came = "neither" if self.prompt is None else "both"
            raise ValueError(f"give exactly one of prompt and messages; {came} came")
        if self.system is not None and any(message.role == "system" for message in self.messages or ()):
            raise ValueError("give the instructions once: as system, or as a message of the role system; both came")


def chat_request(model: str, params: ChatParams) -> dict[str, object]:
    """The fields of every chat request, except the token limit, whose name differs by vendor and model."""
    sampling = given(params, "temperature", "top_p", "stop", "frequency_penalty", "presence_penalty")
    return {"model": model, "messages": _conversation(params), **sampling}


def read_completion(answer: Answer) -> Done:
    """
    The text of an answer.

    Raises:
        GenerationFailed: The vendor's moderation removed the whole text.
        ProtocolError: The answer does not decode or has no text.
    """
    completion = answer.read(_Completion)
    if not completion.choices:
        raise ProtocolError("the answer holds no choices", http_status=answer.status)
    choice = completion.choices[0]
    text = choice.message.content or choice.message.refusal or ""
    _refuse_filtered(choice.finish_reason, text, choice.moderation_hit_type)
    return Done(
        outputs=(TextOutput(text=text, finish_reason=choice.finish_reason),),
        usage=read_usage(completion.usage),
        request_id=answer.headers.get("x-request-id"),
    )


def read_chunk(data: bytes) -> Delta:
    """
    One event of a stream; its text may be empty.

    Raises:
        GenerationFailed: The event is an error, which ends a stream that has begun.
        ProtocolError: The event does not decode.
    """
    try:
        chunk = msgspec.json.decode(data, type=_Chunk)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"a piece of the stream does not decode: {error}") from error
    if (failed := error_of(chunk.error)) is not None:
        raise GenerationFailed(f"the stream ended with {failed.text}", code=failed.code)
    usage = read_usage(chunk.usage)
    if not chunk.choices:
        return Delta(usage=usage)
    choice = chunk.choices[0]
    return Delta(
        text=choice.delta.content or choice.delta.refusal or "", finish_reason=choice.finish_reason, usage=usage
    )


def read_usage(usage: object) -> Usage | None:
    """The number of tokens that the vendor counted, or None where it does not say."""
    if not isinstance(usage, dict):
        return None
    return Usage(
        input_tokens=count(usage, "prompt_tokens"),
        output_tokens=count(usage, "completion_tokens"),
        total_tokens=count(usage, "total_tokens"),
    )


class Chat(SynchronousService):
    """A chat service: the text as a whole or as a stream."""

    def __init__(self, entries: Sequence[Entry], http: VendorHttp, *, families: Families) -> None:
        super().__init__(entries, http, families=families, path=PATH, read=read_completion)

    async def stream(self, job: Job[Any]) -> AsyncGenerator[Delta, None]:
        """Submit, then yield the text piece by piece; the last piece has the finish reason and the usage."""
        body = {**self._requests.body(job), "stream": True, "stream_options": {"include_usage": True}}
        end, written = Delta(), False
        async with aclosing(self._http.events(PATH, json=body)) as events:
            async for data in events:
                piece = read_chunk(data)
                end = Delta(finish_reason=piece.finish_reason or end.finish_reason, usage=piece.usage or end.usage)
                if piece.text:
                    written = True
                    yield Delta(text=piece.text)
        yield _last(end, written=written)


class _GeneratedText(Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None


class _Choice(Struct, frozen=True):
    message: _GeneratedText = _GeneratedText()
    finish_reason: str | None = None
    moderation_hit_type: str | None = None


class _Completion(Struct, frozen=True):
    choices: list[_Choice]
    usage: Any = None


class _Piece(Struct, frozen=True):
    delta: _GeneratedText = _GeneratedText()
    finish_reason: str | None = None


class _Chunk(Struct, frozen=True):
    choices: list[_Piece] | None = None
    usage: Any = None
    error: Any = None


def _conversation(params: ChatParams) -> list[object]:
    said: Sequence[object] = params.messages or [{"role": "user", "content": params.prompt}]
    return [*([{"role": "system", "content": params.system}] if params.system else ()), *said]


def _refuse_filtered(finish_reason: str | None, text: str, hit: str | None = None) -> None:
    if finish_reason == "content_filter" and not text:
        raise GenerationFailed(f"moderation stopped the text{f': {hit}' if hit else ''}", code="content_filter")


def _last(end: Delta, *, written: bool) -> Delta:
    if end.finish_reason is None:
        raise OutcomeUnknown("the stream ended before the text did")
    _refuse_filtered(end.finish_reason, "…" if written else "")
    return end
