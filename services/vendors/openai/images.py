"""OpenAI image models. Source: `openai` 3.54.0, `types/image_generate_params.py`, read on 2026-11-22."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Raw, Struct

from core.catalogue import Entry
from polyrelay import Answer, Done, Model, Params, ProtocolError, TaskType, Usage, VendorHttp
from services.vendors.images import read_picture
from services.vendors.model_families import Families, ModelFamily, SynchronousService, given, models_of
from services.vendors.numbers import count

PATH: Final = "/images/generations"
TIMEOUT_S: Final = 600.0
URL_LIFETIME_S: Final = 3600.0
_MEDIA_TYPES: Final[Mapping[str | None, str]] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "svg": "image/svg+xml",
}
_SIZE: Final = re.compile(r"([1-9][0-9]{1,3})x([1-9][0-9]{1,3})", re.ASCII)


class DallE3Params(Params, frozen=True, kw_only=True):
    """Input of DALL·E 3."""

    prompt: Annotated[str, Meta(min_length=1, max_length=4000)]
    size: Literal["1024x1024", "1792x1024", "1024x1792"] | None = None
    quality: Literal["standard", "hd"] | None = None
    style: Literal["vivid", "natural"] | None = None
    response_format: Literal["url", "b64_json"] = "url"


class GptParams(Params, frozen=True, kw_only=True):
    """
    What every GPT image model takes.

    Attributes:
        n: How many pictures; each one is billed.
        output_compression: In percent, for jpeg and webp.
    """

    prompt: Annotated[str, Meta(min_length=1, max_length=32_000)]
    n: Annotated[int, Meta(ge=1, le=10)] = 1
    background: Literal["auto", "transparent", "opaque"] | None = None
    moderation: Literal["auto", "low"] | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    output_compression: Annotated[int, Meta(ge=0, le=100)] | None = None

    def __post_init__(self) -> None:
        if self.background == "transparent" and self.output_format == "jpeg":
            raise ValueError("background: transparent came with output_format jpeg; allowed are png and webp")
        if self.output_compression is not None and self.output_format not in ("jpeg", "webp"):
            came = self.output_format or "png"
            raise ValueError(f"output_compression came with output_format {came}; allowed are jpeg and webp")


class GptImageParams(GptParams, frozen=True, kw_only=True):
    """Input of the first GPT image models."""

    size: Literal["auto", "1024x1024", "1536x1024", "1024x1536"] | None = None
    quality: Literal["auto", "low", "medium", "high"] | None = None


class GptImage2Params(GptParams, frozen=True, kw_only=True):
    """Input of GPT Image 2 and later, which also take sizes of one's own."""

    size: Annotated[str, Meta(max_length=16, description="auto, or WIDTHxHEIGHT such as 1536x864")] | None = None
    quality: Literal["auto", "low", "medium", "high", "xhigh", "max"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size is not None and self.size != "auto":
            _check_size(self.size)


class OpenAIImages(SynchronousService):
    """Images by GPT image models and DALL·E."""

    def __init__(self, entries: Sequence[Entry], http: VendorHttp) -> None:
        super().__init__(entries, http, families=IMAGE_FAMILIES, path=PATH, read=read_images)


def openai_image_models(entries: Iterable[Entry]) -> tuple[Model, ...]:
    """What `OpenAIImages` serves of these entries."""
    return models_of(entries, IMAGE_FAMILIES)


def read_images(answer: Answer) -> Done:
    """
    The images of an answer.

    Raises:
        ProtocolError: The answer does not decode or has no image.
    """
    images = answer.read(_Images)
    media_type = _MEDIA_TYPES.get(images.output_format)
    found = (
        read_picture(item.url, item.b64_json, media_type=media_type, url_lifetime_s=URL_LIFETIME_S)
        for item in images.data or ()
    )
    pictures = tuple(picture for picture in found if picture is not None)
    if not pictures:
        raise ProtocolError("the answer holds no picture", request_id=answer.headers.get("x-request-id"))
    return Done(
        outputs=pictures, usage=_usage(images.usage, len(pictures)), request_id=answer.headers.get("x-request-id")
    )


class _Image(Struct, frozen=True):
    url: str | None = None
    b64_json: Raw = Raw()


class _Images(Struct, frozen=True):
    data: list[_Image] | None = None
    output_format: str | None = None
    usage: Any = None


def _usage(usage: object, images: int) -> Usage:
    return Usage(
        images=images,
        input_tokens=count(usage, "input_tokens"),
        output_tokens=count(usage, "output_tokens"),
        total_tokens=count(usage, "total_tokens"),
    )


def _check_size(size: str) -> None:
    match = _SIZE.fullmatch(size)
    if match is None:
        raise ValueError(f"size: {size!r} came, allowed are auto and WIDTHxHEIGHT such as 1536x864")
    short, long = sorted((int(match[1]), int(match[2])))
    if short % 16 or long % 16:
        raise ValueError(f"size: {size} came, width and height must be multiples of 16")
    if long > 3 * short:
        raise ValueError(f"size: {size} is too long, allowed ratios are 1:3 to 3:1")
    if long > 3840 or short > 2160:
        raise ValueError(f"size: {size} is too large, at most 3840x2160 or 2160x3840 is allowed")


def _dall_e_3(model: str, params: DallE3Params) -> Mapping[str, object]:
    return {
        "model": model,
        "prompt": params.prompt,
        "response_format": params.response_format,
        **given(params, "size", "quality", "style"),
    }


def _gpt_image(model: str, params: GptParams) -> Mapping[str, object]:
    """The field `response_format` is not sent: these models always return base64 and refuse the field."""
    options = ("size", "quality", "background", "moderation", "output_format", "output_compression")
    return {"model": model, "prompt": params.prompt, "n": params.n, **given(params, *options)}


IMAGE_FAMILIES: Final[Families] = {
    "dall-e-3": ModelFamily(type=TaskType.IMAGE, params=DallE3Params, timeout_s=TIMEOUT_S, request=_dall_e_3),
    "gpt-image": ModelFamily(type=TaskType.IMAGE, params=GptImageParams, timeout_s=TIMEOUT_S, request=_gpt_image),
    "gpt-image-2": ModelFamily(type=TaskType.IMAGE, params=GptImage2Params, timeout_s=TIMEOUT_S, request=_gpt_image),
}
