"""
A plugin as it was written for version 1.0 of the plugin API. Frozen: whatever is built later, this file stays as it is.

It uses what plugins of that time could use, and declares no version, as the smallest of them did.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from polyrelay import (
    Answer,
    BearerAuth,
    Delta,
    Disabled,
    Done,
    Env,
    GenerationFailed,
    ImageOutput,
    Job,
    Model,
    Outcome,
    OutcomeUnknown,
    Overloaded,
    Params,
    Pending,
    ProtocolError,
    Provider,
    ProviderError,
    Rejected,
    TaskType,
    TextOutput,
    Usage,
    VendorHttp,
    VideoOutput,
    hookimpl,
)


class FirstParams(Params, frozen=True, kw_only=True):
    """What callers may send."""

    prompt: Annotated[str, Meta(min_length=1, max_length=500)]
    size: Literal["512x512", "1024x1024"] = "512x512"

    def __post_init__(self) -> None:
        if self.prompt == "nothing":
            raise ValueError("prompt: nothing cannot be drawn")


class Work(Struct):
    """Of the vendor's answers the fields that are used."""

    id: str
    state: str
    url: str | None = None
    percent: int = 0


IMAGE = Model(
    name="first-image", type=TaskType.IMAGE, params=FirstParams, timeout_s=120, max_open=3, description="Draws."
)
VIDEO = Model(name="first-video", type=TaskType.VIDEO, params=FirstParams, timeout_s=600.0, deprecated=date(2099, 1, 1))
TEXT = Model(name="first-text", type=TaskType.TEXT, params=FirstParams, timeout_s=60.0, idempotent_submit=True)


def fault(answer: Answer) -> ProviderError | None:
    """The vendor says with a header that it is full."""
    if answer.headers.get("x-full") == "yes":
        return Overloaded("first is full", retry_after_s=answer.retry_after_s, http_status=answer.status)
    if answer.status == 400:
        return Rejected("first refused it", reason="invalid_input", code="bad", http_status=400, request_id="r")
    return None


class First:
    """Starts a work, then asks for it."""

    models: Sequence[Model] = (IMAGE, VIDEO)

    def __init__(self, http: VendorHttp) -> None:
        self._http = http

    async def submit(self, job: Job[FirstParams]) -> Outcome:
        """Start it."""
        body = {"text": job.params.prompt, "size": job.params.size, "for": job.task_id, "try": job.attempt}
        answer = await self._http.submit("/works", json=body, query=[("until", job.deadline.isoformat())])
        return Pending(operation=answer.read(Work).id, poll_after_s=1.0)

    async def poll(self, job: Job[FirstParams], operation: str) -> Outcome:
        """Ask for it."""
        answer = await self._http.query("GET", f"/works/{operation}")
        work = answer.read(Work)
        if work.state == "failed":
            raise GenerationFailed("first failed", retryable=True, code="f1", http_status=answer.status)
        if work.url is None:
            return Pending(operation=operation, poll_after_s=1.0, progress=work.percent / 100)
        kind = VideoOutput if job.model == VIDEO.name else ImageOutput
        output = kind(url=work.url, media_type=None, lifetime_s=3600.0)
        return Done(outputs=(output,), usage=Usage(images=1), request_id=answer.headers.get("x-request-id"))

    async def cancel(self, job: Job[Any], operation: str) -> None:  # noqa: ARG002
        """Stop it."""
        if (await self._http.query("DELETE", f"/works/{operation}")).read(Work).state != "stopped":
            raise Rejected("too late")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


class Said(Struct):
    """A piece of a text."""

    text: str
    end: str | None = None


class FirstText:
    """Writes a text at once, or piece by piece."""

    models: Sequence[Model] = (TEXT,)

    def __init__(self, http: VendorHttp) -> None:
        self._http = http

    async def submit(self, job: Job[FirstParams]) -> Outcome:
        """Ask for the text."""
        said = (await self._http.submit("/say", json={"text": job.params.prompt})).read(Said)
        return Done(outputs=(TextOutput(text=said.text, finish_reason=said.end),))

    async def poll(self, job: Job[FirstParams], operation: str) -> Outcome:  # noqa: ARG002
        """Never needed."""
        raise Rejected("there is nothing to ask for", reason="not_found")

    async def stream(self, job: Job[FirstParams]) -> AsyncIterator[Delta]:
        """Yield the pieces."""
        end: str | None = None
        async for data in self._http.events("/say", json={"text": job.params.prompt, "stream": True}):
            try:
                piece = msgspec.json.decode(data, type=Said)
            except ValueError as error:
                raise ProtocolError("a piece of the text does not decode") from error
            end = piece.end
            yield Delta(text=piece.text, finish_reason=end)
        if end is None:
            raise OutcomeUnknown("the text broke off")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


@hookimpl
def register_providers(env: Env) -> list[Provider]:
    """One provider."""
    key = env.secret("FIRST_API_KEY")
    if key is None:
        return [Provider("first", [Disabled([IMAGE, VIDEO, TEXT], f"{env.missing('FIRST_API_KEY')}")])]
    url = env.text("FIRST_URL", "https://api.first.example")
    http = VendorHttp("first", url, auth=BearerAuth(key.reveal()), fault=fault, connect_s=5.0, read_s=60.0)
    return [Provider("first", [First(http), FirstText(http)])]
