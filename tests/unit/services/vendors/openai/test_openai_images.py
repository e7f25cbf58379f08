"""OpenAI's images: requests, refused input, and answers."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from core.catalogue import Entry
from polyrelay import Done, ImageOutput, Job, ProtocolError, Secret, Usage
from services.vendors.openai import IMAGE_FAMILIES, OpenAIImages, openai_http

ENTRIES = [Entry(provider="openai", name=f"my-{name}", family=name, upstream=name) for name in IMAGE_FAMILIES]
PICTURE = {"data": [{"b64_json": base64.b64encode(b"a picture").decode()}], "output_format": "webp"}


def service(answer: object, sent: list[httpx.Request]) -> OpenAIImages:
    """The service with a vendor that always gives one answer and records requests."""

    def vendor(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json=answer, headers={"x-request-id": "req-1"})

    http = openai_http("https://openai.test/v1", Secret("sk-key"), transport=httpx.MockTransport(vendor))
    return OpenAIImages(ENTRIES, http)


def job(family: str, **params: Any) -> Job[Any]:
    """A job for the model of that family."""
    parsed = msgspec.convert({"prompt": "a cat", **params}, IMAGE_FAMILIES[family].params)
    return Job(task_id="t1", attempt=1, model=f"my-{family}", params=parsed, deadline=datetime(2027, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("family", "params", "body"),
    [
        ("dall-e-3", {}, {"response_format": "url"}),
        (
            "dall-e-3",
            {"size": "1792x1024", "quality": "hd", "style": "natural", "response_format": "b64_json"},
            {"size": "1792x1024", "quality": "hd", "style": "natural", "response_format": "b64_json"},
        ),
        ("gpt-image", {}, {"n": 1}),
        (
            "gpt-image",
            {"n": 2, "size": "1536x1024", "quality": "high", "background": "transparent", "moderation": "low",
             "output_format": "webp", "output_compression": 80},
            {"n": 2, "size": "1536x1024", "quality": "high", "background": "transparent", "moderation": "low",
             "output_format": "webp", "output_compression": 80},
        ),
        ("gpt-image-2", {"size": "3840x2160", "quality": "max"}, {"n": 1, "size": "3840x2160", "quality": "max"}),
        ("gpt-image-2", {"size": "auto"}, {"n": 1, "size": "auto"}),
    ],
)  # fmt: skip
async def test_a_request_holds_exactly_what_was_asked(
    family: str, params: dict[str, Any], body: dict[str, Any]
) -> None:
    """A request has the caller's fields; GPT image models get no response_format, which they refuse."""
    sent: list[httpx.Request] = []

    await service(PICTURE, sent).submit(job(family, **params))

    assert json.loads(sent[0].content) == {"model": family, "prompt": "a cat", **body}
    assert str(sent[0].url) == "https://openai.test/v1/images/generations"
    assert sent[0].headers["authorization"] == "Bearer sk-key"


@pytest.mark.parametrize(
    ("family", "params", "said"),
    [
        ("dall-e-3", {"size": "1536x1024"}, "1536x1024"),
        ("dall-e-3", {"n": 2}, "n"),
        ("dall-e-3", {"quality": "high"}, "high"),
        ("dall-e-3", {"prompt": "x" * 4001}, "prompt"),
        ("gpt-image", {"size": "1536x864"}, "1536x864"),
        ("gpt-image", {"quality": "max"}, "max"),
        ("gpt-image", {"n": 11}, "10"),
        ("gpt-image", {"response_format": "url"}, "response_format"),
        ("gpt-image", {"background": "transparent", "output_format": "jpeg"}, "allowed are png and webp"),
        ("gpt-image", {"output_compression": 50}, "output_format png; allowed are jpeg and webp"),
        ("gpt-image-2", {"size": "1536*864"}, "'1536\\*864' came, allowed are auto and WIDTHxHEIGHT"),
        ("gpt-image-2", {"size": "1000x1000"}, "multiples of 16"),
        ("gpt-image-2", {"size": "1600x512"}, "1:3 to 3:1"),
        ("gpt-image-2", {"size": "3856x2160"}, "at most 3840x2160"),
        ("gpt-image-2", {"output_compression": 50, "output_format": "png"}, "allowed are jpeg and webp"),
    ],
)
def test_a_wrong_input_says_what_is_allowed(family: str, params: dict[str, Any], said: str) -> None:
    """Params outside of a model's limits are refused before a request."""
    with pytest.raises(msgspec.ValidationError, match=said):
        job(family, **params)


async def test_base64_becomes_bytes_of_the_format_that_came() -> None:
    """GPT image models return base64; the media type is that of the answer."""
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}

    assert await service({**PICTURE, "usage": usage}, []).submit(job("gpt-image")) == Done(
        outputs=(ImageOutput(data=b"a picture", media_type="image/webp"),),
        usage=Usage(input_tokens=1, output_tokens=2, total_tokens=3, images=1),
        request_id="req-1",
    )


async def test_links_live_for_an_hour() -> None:
    """A link of DALL·E has a lifetime of one hour."""
    outcome = await service({"data": [{"url": "https://openai.test/1.png"}]}, []).submit(job("dall-e-3"))

    assert isinstance(outcome, Done)
    assert outcome.outputs == (ImageOutput(url="https://openai.test/1.png", lifetime_s=3600.0),)


@pytest.mark.parametrize("answer", [{}, {"data": []}, {"data": [{}]}, {"data": [{"b64_json": "%"}]}, []])
async def test_an_answer_without_a_picture_is_a_protocol_error(answer: object) -> None:
    """A 200 without an image is a ProtocolError."""
    with pytest.raises(ProtocolError):
        await service(answer, []).submit(job("gpt-image"))
