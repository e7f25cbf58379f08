"""Chat of both vendors: requests, answers and streams."""

import itertools
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.catalogue import Entry
from polyrelay import (
    Delta,
    Done,
    GenerationFailed,
    Job,
    OutcomeUnknown,
    Params,
    ProtocolError,
    RateLimited,
    Secret,
    Streams,
    TextOutput,
    Usage,
)
from services.vendors import ark, openai
from services.vendors.openai_wire.completions import Chat

USER = {"role": "user", "content": "hi"}
COUNTED = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


class Bytes(httpx.AsyncByteStream):
    """A body that arrives in the given pieces and records whether it was closed."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = pieces
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece

    async def aclose(self) -> None:
        """Record the call."""
        self.closed = True


def chat(vendor: str, family: str, answer: httpx.Response, sent: list[httpx.Request] | None = None) -> Chat:
    """The chat service of that vendor, with one answer."""

    def reply(request: httpx.Request) -> httpx.Response:
        if sent is not None:
            sent.append(request)
        return answer

    entries = [Entry(provider=vendor, name="mine", family=family, upstream="theirs")]
    transport = httpx.MockTransport(reply)
    if vendor == "ark":
        return ark.ArkChat(entries, ark.ark_http("https://v.test/api/v3", Secret("k"), transport=transport))
    return openai.OpenAIChat(entries, openai.openai_http("https://v.test/v1", Secret("k"), transport=transport))


def job(service: Chat, **params: Any) -> Job[Any]:
    """A job for the service's only model."""
    parsed: Params = msgspec.convert(params or {"prompt": "hi"}, service.models[0].params)
    return Job(task_id="t1", attempt=1, model="mine", params=parsed, deadline=datetime(2027, 1, 1, tzinfo=UTC))


def completion(text: str | None, finish_reason: str = "stop", **more: Any) -> dict[str, Any]:
    """An answer with one text."""
    return {"choices": [{"message": {"content": text}, "finish_reason": finish_reason, **more}], "usage": COUNTED}


async def outcome_of(answer: object) -> Done:
    """The outcome of an answer; it is the same for both vendors."""
    service = chat("ark", "chat", httpx.Response(200, json=answer, headers={"x-request-id": "req-1"}))
    return await service.submit(job(service))


def event(document: object) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"


def piece(text: str | None = None, finish_reason: str | None = None) -> bytes:
    """An event with a piece of a text."""
    return event({"choices": [{"delta": {"content": text}, "finish_reason": finish_reason}]})


END = event({"choices": [], "usage": COUNTED}) + b"data: [DONE]\n\n"
STREAM = b": hello\n\n" + piece("") + piece("好") + piece("的") + piece(None, "stop") + END
DELTAS = [
    Delta(text="好"),
    Delta(text="的"),
    Delta(finish_reason="stop", usage=Usage(input_tokens=3, output_tokens=4, total_tokens=7)),
]


async def streamed(*pieces: bytes, vendor: str = "ark") -> list[Delta]:
    """The deltas of a stream whose body arrives in these pieces."""
    service = chat(vendor, "chat", httpx.Response(200, stream=Bytes(pieces)))
    return [delta async for delta in service.stream(job(service))]


@pytest.mark.parametrize(
    ("vendor", "family", "params", "body"),
    [
        ("ark", "chat", {"prompt": "hi"}, {"messages": [USER]}),
        (
            "ark",
            "chat",
            {"prompt": "hi", "system": "be brief", "max_tokens": 9, "temperature": 0.5, "top_p": 1, "stop": "x",
             "thinking": "disabled", "reasoning_effort": "low"},
            {"messages": [{"role": "system", "content": "be brief"}, USER], "max_tokens": 9, "temperature": 0.5,
             "top_p": 1, "stop": "x", "thinking": {"type": "disabled"}, "reasoning_effort": "low"},
        ),
        (
            "openai",
            "chat",
            {"messages": [USER, {"role": "assistant", "content": "ho"}, USER], "max_tokens": 9, "stop": ["a", "b"]},
            {"messages": [USER, {"role": "assistant", "content": "ho"}, USER], "max_tokens": 9, "stop": ["a", "b"]},
        ),
        (
            "openai",
            "chat-reasoning",
            {"prompt": "hi", "max_tokens": 9, "reasoning_effort": "xhigh", "verbosity": "low"},
            {"messages": [USER], "max_completion_tokens": 9, "reasoning_effort": "xhigh", "verbosity": "low"},
        ),
        (
            "openai",
            "chat",
            {"messages": [{"role": "user", "content": [
                {"type": "text", "text": "what is it?"},
                {"type": "image_url", "image_url": {"url": "https://a.test/1.png"}}]}]},
            {"messages": [{"role": "user", "content": [
                {"type": "text", "text": "what is it?"},
                {"type": "image_url", "image_url": {"url": "https://a.test/1.png"}}]}]},
        ),
    ],
)  # fmt: skip
async def test_a_request_holds_exactly_what_was_asked(
    vendor: str, family: str, params: dict[str, Any], body: dict[str, Any]
) -> None:
    """A request has the conversation and the caller's fields; the name of the token limit depends on the family."""
    sent: list[httpx.Request] = []
    service = chat(vendor, family, httpx.Response(200, json=completion("ok")), sent)

    await service.submit(job(service, **params))

    assert json.loads(sent[0].content) == {"model": "theirs", **body}
    assert sent[0].url.path.endswith("/chat/completions")


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"system": "be brief"}, "exactly one of prompt and messages; neither came"),
        ({"prompt": "hi", "messages": [USER]}, "exactly one of prompt and messages; both came"),
        ({"messages": [{"role": "system", "content": "a"}, USER], "system": "b"}, "both came"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "tool"),
        ({"messages": [{"role": "user", "content": "a", "name": "b"}]}, "name"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "hi", "max_tokens": 0}, "max_tokens"),
        ({"prompt": "hi", "temperature": 2.1}, "temperature"),
        ({"prompt": "hi", "stop": ["a"] * 5}, "stop"),
        ({"prompt": "hi", "size": "1K"}, "size"),
    ],
)
def test_a_wrong_input_says_what_is_allowed(params: dict[str, Any], said: str) -> None:
    """Params that no chat model accepts are refused before a request."""
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert(params, ark.CHAT_FAMILIES["chat"].params)


async def test_a_text_is_done_at_once() -> None:
    """A submit returns the text, its finish reason and the token counts."""
    assert await outcome_of(completion("ok", "length")) == Done(
        outputs=(TextOutput(text="ok", finish_reason="length"),),
        usage=Usage(input_tokens=3, output_tokens=4, total_tokens=7),
        request_id="req-1",
    )


@pytest.mark.parametrize("usage", [None, [], "many", {"prompt_tokens": "3"}, {"prompt_tokens": True}])
async def test_a_strange_count_does_not_lose_the_text(usage: object) -> None:
    """A billed text is not lost because its usage does not decode."""
    outcome = await outcome_of({**completion("ok"), "usage": usage})

    assert outcome.outputs == (TextOutput(text="ok", finish_reason="stop"),)
    assert outcome.usage in (None, Usage())


async def test_moderation_that_leaves_nothing_is_a_failure() -> None:
    """An empty text with the finish reason content_filter is a final failure; a partial text is a result."""
    with pytest.raises(GenerationFailed, match="severe_violation") as caught:
        await outcome_of(completion("", "content_filter", moderation_hit_type="severe_violation"))
    assert not caught.value.retryable

    partly = await outcome_of(completion("half", "content_filter"))
    assert partly.outputs == (TextOutput(text="half", finish_reason="content_filter"),)


@pytest.mark.parametrize("answer", [{}, {"choices": []}, {"choices": None}, {"choices": [3]}, "ok", None])
async def test_an_answer_without_choices_is_a_protocol_error(answer: object) -> None:
    """An answer without choices is a ProtocolError."""
    with pytest.raises(ProtocolError):
        await outcome_of(answer)


async def test_a_stream_asks_for_usage() -> None:
    """A stream's request is the same, and also asks for the usage, which is left out otherwise."""
    sent: list[httpx.Request] = []
    service = chat("openai", "chat", httpx.Response(200, stream=Bytes([STREAM])), sent)

    deltas = [delta async for delta in service.stream(job(service))]

    assert isinstance(service, Streams)
    assert deltas == DELTAS
    assert json.loads(sent[0].content) == {
        "model": "theirs",
        "messages": [USER],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@given(cuts=st.lists(st.integers(min_value=0, max_value=len(STREAM)), max_size=12), crlf=st.booleans())
@settings(max_examples=40, deadline=None)
async def test_a_stream_does_not_depend_on_how_it_is_cut(cuts: list[int], crlf: bool) -> None:
    """The pieces are the same however the stream is split, and with either line end."""
    body = STREAM.replace(b"\n", b"\r\n") if crlf else STREAM
    edges = [0, *sorted(cuts), len(body)]

    assert await streamed(*(body[a:b] for a, b in itertools.pairwise(edges))) == DELTAS


async def test_only_line_feeds_end_a_line() -> None:
    """A text may hold characters that Unicode counts as line ends."""
    text = "a\u2028b\x85c\x0bd"

    assert (await streamed(piece(text), piece(None, "stop"), b"data: [DONE]"))[0] == Delta(text=text)


async def test_the_last_line_needs_no_end() -> None:
    """A stream that ends directly after its last event is complete."""
    assert (await streamed((piece("a") + piece(None, "stop")).rstrip()))[-1] == Delta(finish_reason="stop")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", OutcomeUnknown),
        (piece("half"), OutcomeUnknown),
        (piece("half") + b"data: [DONE]\n\n", OutcomeUnknown),
        (json.dumps(completion("ok")).encode(), OutcomeUnknown),
        (piece("a") + event({"error": {"code": "InternalServiceError", "message": "m"}}), GenerationFailed),
        (piece(None, "content_filter") + END, GenerationFailed),
        (b"data: {\n\n", ProtocolError),
        (b"data: [1]\n\n", ProtocolError),
        (b"data: \xff\n\n", ProtocolError),
    ],
)
async def test_a_stream_that_breaks_is_not_a_text(body: bytes, kind: type[Exception]) -> None:
    """A stream without its end, with an error in it, or with another shape raises an error."""
    with pytest.raises(kind):
        await streamed(body)


async def test_a_refused_stream_fails_as_a_submit_does() -> None:
    """Errors before the first event are those of a submit."""
    service = chat("ark", "chat", httpx.Response(429, json={"error": {"code": "RateLimitExceeded"}}))

    with pytest.raises(RateLimited):
        [delta async for delta in service.stream(job(service))]


async def test_a_reader_that_leaves_closes_the_connection() -> None:
    """Closing a stream early closes its connection."""
    body = Bytes([piece("a"), piece("b")])
    service = chat("ark", "chat", httpx.Response(200, stream=body))

    async with aclosing(service.stream(job(service))) as deltas:
        assert await anext(deltas) == Delta(text="a")
    assert body.closed
