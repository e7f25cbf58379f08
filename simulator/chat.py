"""`chat/completions` of Ark and OpenAI: one JSON document, or a stream of chunks with the usage at its end."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import msgspec
from litestar import post
from msgspec import Meta

from simulator import ark, openai_api
from simulator.answers import EVENT_STREAM, LAST_EVENT, Answer, Reply, event, json_answer
from simulator.connections import HttpRequest
from simulator.faults import Fault
from simulator.ledger import Call
from simulator.upstream import Upstream, upstream_of


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message; its content is a text or a list of parts."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None

    @property
    def text(self) -> str:
        """All text in the message."""
        if isinstance(self.content, list):
            return " ".join(str(part["text"]) for part in self.content if "text" in part)
        return self.content or ""


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the last chunk contains the usage."""

    include_usage: bool = False


class Thinking(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the answer contains reasoning (Ark)."""

    type: Literal["enabled", "disabled", "auto"]


class ChatParams(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that change the answer; all others are accepted and ignored."""

    model: str
    messages: Annotated[list[Message], Meta(min_length=1)]
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    n: Annotated[int, Meta(ge=1, le=8)] = 1
    stream: bool = False
    stream_options: StreamOptions | None = None
    thinking: Thinking | None = None

    @property
    def prompt(self) -> str:
        """The last message of the user."""
        return next((turn.text for turn in reversed(self.messages) if turn.role == "user"), "")

    @property
    def limit(self) -> int | None:
        """Largest number of tokens in the answer."""
        return self.max_completion_tokens or self.max_tokens


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """A generated text as tokens."""

    tokens: list[str]
    finish_reason: str
    prompt_tokens: int
    reasoning: str | None = None

    def usage(self, choices: int) -> dict[str, Any]:
        """Token counts in the form of both vendors."""
        thought = len(_tokens(self.reasoning or ""))
        written = len(self.tokens) * choices + thought
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": written,
            "total_tokens": self.prompt_tokens + written,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": thought},
        }


def complete(params: ChatParams) -> Completion:
    """The answer: it repeats the prompt, and is cut at the token limit."""
    text = f"Simulated answer by {params.model}. You said: {params.prompt} That is all there is to say about it."
    tokens = _tokens(text)
    kept = tokens[: params.limit]
    thinks = params.thinking is not None and params.thinking.type == "enabled"
    return Completion(
        tokens=kept,
        finish_reason="length" if len(kept) < len(tokens) else "stop",
        prompt_tokens=sum(len(_tokens(turn.text)) for turn in params.messages),
        reasoning="The user wants an answer." if thinks else None,
    )


def _tokens(text: str) -> list[str]:
    return re.findall(r"\s*[\w'-]{1,8}|\s*\S", text)


@post("/api/v3/chat/completions", status_code=200)
async def ark_chat(request: HttpRequest) -> Reply:
    """Chat completions of Ark."""
    upstream = upstream_of(request)
    ark.authorize(upstream, request)
    params, document = await ark.read_body(request, ChatParams)
    ark.check_model(params.model, ark.TEXT_FAMILIES, but=("doubao-seedream-", "doubao-seedance-", "doubao-seededit-"))
    return await _chat(upstream, request, params, Call(kind="ark.chat", body=document))


@post("/v1/chat/completions", status_code=200)
async def openai_chat(request: HttpRequest) -> Reply:
    """Chat completions of OpenAI."""
    upstream = upstream_of(request)
    openai_api.authorize(upstream, request)
    params, document = await openai_api.read_body(request, ChatParams)
    openai_api.check_model(params.model, openai_api.TEXT_FAMILIES, but=("gpt-image",))
    return await _chat(upstream, request, params, Call(kind="openai.chat", body=document))


async def _chat(upstream: Upstream, request: HttpRequest, params: ChatParams, call: Call) -> Reply:
    call = msgspec.structs.replace(call, prompt=params.prompt, model=params.model, generates=True)

    async def generate(fault: Fault | None) -> Answer:
        head = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(upstream.clock()),
            "model": params.model,
            "service_tier": "default",
        }
        if params.stream:
            latency_s = upstream.latencies.of(call.kind, "text")
            await upstream.generate(request, call.kind, "text", fault, share=0.5)
            return Answer(body=_chunks(params, head, latency_s / 2), media_type=EVENT_STREAM)
        await upstream.generate(request, call.kind, "text", fault)
        return json_answer(_document(params, head))

    return await upstream.perform(request, call, generate)


def _document(params: ChatParams, head: dict[str, Any]) -> dict[str, Any]:
    completion = complete(params)
    message = {"role": "assistant", "content": "".join(completion.tokens)}
    if completion.reasoning is not None:
        message["reasoning_content"] = completion.reasoning
    choices = [
        {"index": index, "message": message, "finish_reason": completion.finish_reason, "logprobs": None}
        for index in range(params.n)
    ]
    return {**head, "object": "chat.completion", "choices": choices, "usage": completion.usage(params.n)}


async def _chunks(params: ChatParams, head: dict[str, Any], spread_s: float) -> AsyncIterator[bytes]:
    """The events: role, reasoning, tokens spread over the time, finish reason, usage if requested, end mark."""
    completion = complete(params)
    head = {**head, "object": "chat.completion.chunk"}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if completion.reasoning is not None:
        deltas.append({"reasoning_content": completion.reasoning})
    deltas += [{"content": token} for token in completion.tokens]
    for delta in deltas:
        yield _chunk(params, head, delta, None)
        await asyncio.sleep(spread_s / len(deltas))
    yield _chunk(params, head, {}, completion.finish_reason)
    if params.stream_options is not None and params.stream_options.include_usage:
        yield event({**head, "choices": [], "usage": completion.usage(params.n)})
    yield LAST_EVENT


def _chunk(params: ChatParams, head: dict[str, Any], delta: dict[str, Any], finish_reason: str | None) -> bytes:
    choices = [{"index": index, "delta": delta, "finish_reason": finish_reason} for index in range(params.n)]
    return event({**head, "choices": choices})
