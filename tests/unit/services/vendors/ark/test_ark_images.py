"""Ark's images: requests, refused input, and answers."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from core.catalogue import Entry
from polyrelay import (
    Done,
    GenerationFailed,
    ImageOutput,
    Job,
    Outcome,
    OutcomeUnknown,
    ProtocolError,
    Rejected,
    Secret,
    Usage,
)
from services.vendors.ark import IMAGE_FAMILIES, ArkImages, ark_http

FAMILIES = list(IMAGE_FAMILIES)
ENTRIES = [Entry(provider="volcengine", name=f"my-{name}", family=name, upstream=name.upper()) for name in FAMILIES]
LINK = {"data": [{"url": "https://ark.test/1.jpeg", "size": "1024x1024"}]}
DATA_URI = "data:image/png;base64,AAAA"


def service(answer: object, sent: list[httpx.Request]) -> ArkImages:
    """The service with a vendor that always gives one answer and records requests."""

    def vendor(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, json=answer, headers={"X-Request-Id": "req-1"})

    return ArkImages(
        ENTRIES, ark_http("https://ark.test/api/v3", Secret("ark-key"), transport=httpx.MockTransport(vendor))
    )


def job(family: str, **params: Any) -> Job[Any]:
    """A job for a model of that family, with params parsed like a caller's input."""
    parsed = msgspec.convert(params, IMAGE_FAMILIES[family].params)
    return Job(task_id="t1", attempt=1, model=f"my-{family}", params=parsed, deadline=datetime(2027, 1, 1, tzinfo=UTC))


def event(**fields: Any) -> bytes:
    """One event of a group."""
    return b"event: x\ndata: " + json.dumps(fields).encode() + b"\n\n"


class Cut(httpx.AsyncByteStream):
    """A body whose connection breaks after its first bytes."""

    def __init__(self, first: bytes) -> None:
        self._first = first

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._first
        raise httpx.ReadError("gone")


async def group_of(stream: bytes | Cut) -> Done:
    """The outcome of a stream for a group of up to three images."""
    answer = httpx.Response(200, stream=stream) if isinstance(stream, Cut) else httpx.Response(200, content=stream)
    return await service(answer, []).submit(job("seedream-4", prompt="a cat", n=3))


async def outcome_of(answer: object) -> Outcome:
    """The outcome of that answer for one image of Seedream 4."""
    return await service(answer, []).submit(job("seedream-4", prompt="a cat"))


@pytest.mark.parametrize(
    ("family", "params", "body"),
    [
        (
            "seedream-3",
            {"prompt": "一只猫", "size": "1512x648", "seed": 7, "guidance_scale": 3.5},
            {"size": "1512x648", "seed": 7, "guidance_scale": 3.5},
        ),
        ("seedream-3", {"prompt": "一只猫"}, {"size": "1024x1024"}),
        ("seededit-3", {"prompt": "一只猫", "image_urls": [DATA_URI]}, {"size": "adaptive", "image": DATA_URI}),
        ("seedream-4", {"prompt": "一只猫"}, {"size": "2048x2048", "sequential_image_generation": "disabled"}),
        (
            "seedream-4",
            {"prompt": "一只猫", "size": "4K", "n": 3, "image_urls": ["https://a.test/1.png", DATA_URI]},
            {
                "size": "4K",
                "image": ["https://a.test/1.png", DATA_URI],
                "sequential_image_generation": "auto",
                "sequential_image_generation_options": {"max_images": 3},
                "stream": True,
            },
        ),
        (
            "seedream-5",
            {"prompt": "一只猫", "size": "3K", "output_format": "png"},
            {"size": "3K", "output_format": "png", "sequential_image_generation": "disabled"},
        ),
    ],
)
async def test_a_request_holds_exactly_what_was_asked(
    family: str, params: dict[str, Any], body: dict[str, Any]
) -> None:
    """A request has the vendor's model name, the caller's fields, the watermark, and `n` images."""
    sent: list[httpx.Request] = []
    events = httpx.Response(200, content=event(url="https://ark.test/1.jpeg"))

    await service(events if params.get("n") else LINK, sent).submit(job(family, **params))

    always = {"model": family.upper(), "prompt": "一只猫", "watermark": False, "response_format": "url"}
    assert json.loads(sent[0].content) == {**always, **body}
    assert str(sent[0].url) == "https://ark.test/api/v3/images/generations"
    assert sent[0].headers["authorization"] == "Bearer ark-key"


@pytest.mark.parametrize(
    ("family", "params", "said"),
    [
        ("seedream-3", {"size": "1000x1000"}, "1000x1000"),
        ("seedream-3", {"size": "2K"}, "2K"),
        ("seedream-3", {"image_urls": [DATA_URI]}, "image_urls"),
        ("seedream-3", {"guidance_scale": 11}, "10"),
        ("seedream-4", {"size": "8K"}, "'8K' came, allowed are 1K, 2K, 4K and WIDTHxHEIGHT"),
        ("seedream-4", {"size": "512x512"}, "262144 pixels, allowed are 921600 to 16777216"),
        ("seedream-4", {"size": "4097x4096"}, "16781312 pixels"),
        ("seedream-4", {"size": "16384x512"}, "1:16 to 16:1"),
        ("seedream-4", {"seed": 1}, "seed"),
        ("seedream-4", {"n": 16}, "15"),
        ("seedream-4", {"image_urls": [DATA_URI] * 11}, "11 pictures came, at most 10"),
        ("seedream-4", {"image_urls": [DATA_URI] * 10, "n": 6}, "at most 15 together"),
        ("seedream-4", {"image_urls": ["ftp://a.test/1.png"]}, "image_urls"),
        ("seedream-4", {"image_urls": ["data:image/PNG;base64,AAAA"]}, "image_urls"),
        ("seedream-4-5", {"size": "1K"}, "'1K' came, allowed are 2K, 4K"),
        ("seedream-4-5", {"size": "1920x1080"}, "allowed are 3686400"),
        ("seededit-3", {}, "image_urls"),
        ("seededit-3", {"image_urls": [DATA_URI, DATA_URI]}, "image_urls"),
    ],
)
def test_a_wrong_input_says_what_is_allowed(family: str, params: dict[str, Any], said: str) -> None:
    """Params outside of a model's limits are refused before a request; the message has the limit."""
    with pytest.raises(msgspec.ValidationError, match=said):
        job(family, prompt="a cat", **params)


@pytest.mark.parametrize("size", ["1280x720", "4096x4096", "3840x240", "1K"])
def test_the_limits_of_a_size_belong_to_it(size: str) -> None:
    """The smallest and largest number of pixels and the longest ratio are allowed."""
    assert job("seedream-4", prompt="a cat", size=size).params.size == size


async def test_links_live_for_a_day() -> None:
    """A link has a lifetime of 24 hours; usage and request id are in the result."""
    usage = {"generated_images": 1, "output_tokens": 4096, "total_tokens": 4096}

    assert await outcome_of({**LINK, "usage": usage}) == Done(
        outputs=(ImageOutput(url="https://ark.test/1.jpeg", lifetime_s=86400.0),),
        usage=Usage(images=1, output_tokens=4096, total_tokens=4096),
        request_id="req-1",
    )


async def test_base64_becomes_bytes() -> None:
    """An image in base64 is decoded."""
    outcome = await outcome_of({"data": [{"b64_json": base64.b64encode(b"jpeg").decode(), "output_format": "png"}]})

    assert isinstance(outcome, Done)
    assert outcome.outputs == (ImageOutput(data=b"jpeg", media_type="image/png"),)


async def test_a_group_keeps_the_pictures_that_were_made() -> None:
    """If some images of a group failed, the others are the result."""
    failed = {"error": {"code": "OutputImageSensitiveContentDetected", "message": "no"}}

    outcome = await outcome_of({"data": [failed, *LINK["data"]]})

    assert isinstance(outcome, Done)
    assert [output.url for output in outcome.outputs if isinstance(output, ImageOutput)] == ["https://ark.test/1.jpeg"]


@pytest.mark.parametrize(
    ("answer", "code", "retryable"),
    [
        ({"data": [{"error": {"code": "OutputImageRiskDetection"}}]}, "OutputImageRiskDetection", False),
        ({"data": [{"error": {"code": "InternalServiceError"}}]}, "InternalServiceError", True),
        ({"data": [], "error": {"code": "InternalServiceError"}}, "InternalServiceError", True),
        ({"error": {"code": 17, "message": None}}, "17", False),
    ],
)  # fmt: skip
async def test_no_picture_is_a_failure(answer: object, code: str, retryable: bool) -> None:
    """Without an image the generation failed; it is retryable only after an internal error."""
    with pytest.raises(GenerationFailed) as caught:
        await outcome_of(answer)

    assert (caught.value.code, caught.value.retryable, caught.value.request_id) == (code, retryable, "req-1")


@pytest.mark.parametrize("answer", [{}, {"data": None}, {"data": [{}]}, {"data": 1}, {"data": [{"b64_json": "%"}]}, []])
async def test_an_answer_without_a_result_is_a_protocol_error(answer: object) -> None:
    """An answer with neither an image nor an error is a ProtocolError."""
    with pytest.raises(ProtocolError):
        await outcome_of(answer)


ONE, TWO = event(url="https://ark.test/1.jpeg", image_index=0), event(url="https://ark.test/2.jpeg", image_index=1)
BLOCKED = event(image_index=1, error={"code": "OutputImageSensitiveContentDetected", "message": "no"})
COUNTED = event(type="image_generation.completed", usage={"generated_images": 2, "total_tokens": 9})


async def test_a_group_comes_picture_by_picture() -> None:
    """A group is read as a stream; the usage comes last, and a failed image is left out."""
    assert await group_of(ONE + BLOCKED + TWO + COUNTED + b"data: [DONE]\n\n") == Done(
        outputs=(
            ImageOutput(url="https://ark.test/1.jpeg", lifetime_s=86400.0),
            ImageOutput(url="https://ark.test/2.jpeg", lifetime_s=86400.0),
        ),
        usage=Usage(images=2, total_tokens=9),
    )


@pytest.mark.parametrize("stream", [Cut(ONE + b"data: {"), ONE, ONE + b"data: {\n\n"])
async def test_pictures_that_came_before_a_break_are_kept(stream: bytes | Cut) -> None:
    """Images received before the stream breaks are the result, because they are billed."""
    outcome = await group_of(stream)

    assert outcome.outputs == (ImageOutput(url="https://ark.test/1.jpeg", lifetime_s=86400.0),)
    assert outcome.usage == Usage(images=1)


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (Cut(b""), OutcomeUnknown),
        (Cut(BLOCKED), OutcomeUnknown),
        (b"", OutcomeUnknown),
        (b"data: 1\n\n", ProtocolError),
        (BLOCKED + COUNTED, GenerationFailed),
        (event(error={"code": "InternalServiceError", "message": "m"}), GenerationFailed),
    ],
)
async def test_a_group_without_a_picture_is_no_result(stream: bytes | Cut, kind: type[Exception]) -> None:
    """Without an image, the end of the stream decides: a break means an unknown outcome, an error a failure."""
    with pytest.raises(kind):
        await group_of(stream)


async def test_there_is_nothing_to_poll() -> None:
    """A poll is rejected, because submit returns the images."""
    with pytest.raises(Rejected, match="answers at once"):
        await service(LINK, []).poll(job("seedream-4", prompt="a cat"), "op")


async def test_a_model_that_is_not_served_is_rejected() -> None:
    """A model that is no longer in the catalogue is rejected without a request."""
    sent: list[httpx.Request] = []
    gone = msgspec.structs.replace(job("seedream-4", prompt="a cat"), model="gone")

    with pytest.raises(Rejected, match="gone"):
        await service(LINK, sent).submit(gone)
    assert not sent


async def test_entries_of_other_families_are_left_out() -> None:
    """A service serves only the entries of its own families, with the entry's name and time limit."""
    entries = [
        Entry(provider="volcengine", name="a", family="seedream-4", timeout_s=7.0),
        Entry(provider="volcengine", name="b", family="chat"),
    ]
    images = ArkImages(entries, ark_http("https://ark.test", Secret("k")))

    assert [(model.name, model.timeout_s) for model in images.models] == [("a", 7.0)]
    await images.aclose()
    await images.aclose()
