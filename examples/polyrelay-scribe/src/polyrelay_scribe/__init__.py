"""Texts by Scribe, also as a stream. Source: the pages of Scribe's API, version 1, read on 2026-11-22."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from polyrelay import Answer, BearerAuth, Delta, Disabled, Done, Env, GenerationFailed, Job, Model, Outcome
from polyrelay import OutcomeUnknown, Params, Pending, ProtocolError, Provider, ProviderError, Rejected, TaskType
from polyrelay import TextOutput, Usage, VendorHttp, hookimpl

POLYRELAY_API = ">=1.0,<2"


class TextParams(Params, frozen=True, kw_only=True):
    """What callers may send."""

    prompt: Annotated[str, Meta(min_length=1, max_length=4000)]
    max_words: Annotated[int, Meta(ge=1, le=2000)] = 200


class Text(Struct):
    """The state of a text at Scribe."""

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
    state: str
    text: str = ""
    words: int | None = None


class Piece(Struct):
    """An event of a stream: a piece of the text, or its end."""

    text: str = ""
    end: str | None = None
    words: int | None = None


MODELS = (Model(name="scribe-1", type=TaskType.TEXT, params=TextParams, timeout_s=300),)


class Texts:
    """Starts, polls, streams and cancels texts."""

    models = MODELS

    def __init__(self, http: VendorHttp) -> None:
        self._http = http

    async def submit(self, job: Job[TextParams]) -> Outcome:
        """Start a text."""
        return outcome((await self._http.submit("/v1/texts", json=body(job.params))).read(Text))

    async def poll(self, job: Job[TextParams], operation: str) -> Outcome:
        """Read the state of a text."""
        return outcome((await self._http.query("GET", f"/v1/texts/{operation}")).read(Text))

    async def cancel(self, job: Job[TextParams], operation: str) -> None:
        """Stop a text. Scribe answers 410 where it is too late, which `fault` maps to `Rejected`."""
        stopped = (await self._http.query("DELETE", f"/v1/texts/{operation}")).read(Text)
        if stopped.state != "stopped":
            raise ProtocolError("scribe did not confirm that it stopped")

    async def stream(self, job: Job[TextParams]) -> AsyncIterator[Delta]:
        """Yield the pieces of a text. A stream that is cut off raises `OutcomeUnknown`."""
        ended = False
        async with aclosing(self._http.events("/v1/texts/stream", json=body(job.params))) as events:
            async for event in events:
                piece = read_piece(event)
                ended = ended or piece.finish_reason is not None
                yield piece
        if not ended:
            raise OutcomeUnknown("scribe's stream ended before the text did")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def body(params: TextParams) -> dict[str, object]:
    """The body of a request for a text."""
    return {"prompt": params.prompt, "max_words": params.max_words}


def outcome(text: Text) -> Outcome:
    """The outcome for the state of a text."""
    if text.state == "failed":
        raise GenerationFailed("scribe found no words")
    if text.state == "stopped":
        raise GenerationFailed("the text was stopped")
    if text.state == "written":
        return Done(outputs=(TextOutput(text=text.text, finish_reason="stop"),), usage=Usage(output_tokens=text.words))
    return Pending(operation=text.id, poll_after_s=1.0)


def read_piece(event: bytes) -> Delta:
    """One event of a stream."""
    try:
        piece = msgspec.json.decode(event, type=Piece)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"a piece of scribe's stream does not decode: {error}") from error
    usage = None if piece.words is None else Usage(output_tokens=piece.words)
    return Delta(text=piece.text, finish_reason=piece.end, usage=usage)


def fault(answer: Answer) -> ProviderError | None:
    """Map Scribe's own statuses; after None the HTTP status decides."""
    if answer.status == 410:
        return Rejected("the text is written already", reason="not_found", http_status=410)
    return None


@hookimpl
def register_providers(env: Env) -> list[Provider]:
    """One provider; without a key its model is listed with the reason."""
    if (key := env.secret("SCRIBE_API_KEY")) is None:
        return [Provider("scribe", [Disabled(MODELS, "SCRIBE_API_KEY is not set")])]
    url = env.text("SCRIBE_URL", "https://api.scribe.example")
    http = VendorHttp("scribe", url, auth=BearerAuth(key.reveal()), fault=fault)
    return [Provider("scribe", [Texts(http)])]
