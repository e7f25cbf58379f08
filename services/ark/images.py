"""
Ark's picture models: Seedream and SeedEdit.

Source: Ark's page of the image API (docs/82379/1541523), a copy of September 2025, and `volcengine-ark-runtime`
5.0.54, read on 2026-11-22.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from core.catalogue import Entry
from polyrelay import (
    Answer,
    Done,
    GenerationFailed,
    ImageOutput,
    Model,
    ProtocolError,
    TaskType,
    Usage,
    VendorHttp,
)
from services.ark.image_params import (
    ImageParams,
    SeedEdit3Params,
    Seedream3Params,
    Seedream4Params,
    Seedream5Params,
    Seedream45Params,
)
from services.chat.envelope import VendorError, error_of
from services.counts import count
from services.families import AtOnce, Families, Family, given, models_of
from services.pictures import read_picture

PATH: Final = "/images/generations"
URL_LIFETIME_S: Final = 24 * 3600.0


class ArkImages(AtOnce):
    """Pictures by Seedream and SeedEdit."""

    def __init__(self, entries: Sequence[Entry], http: VendorHttp) -> None:
        super().__init__(entries, http, families=IMAGE_FAMILIES, path=PATH, read=read_images)


def ark_image_models(entries: Iterable[Entry]) -> tuple[Model, ...]:
    """What `ArkImages` serves of these entries."""
    return models_of(entries, IMAGE_FAMILIES)


def read_images(answer: Answer) -> Done:
    """
    The pictures of an answer; of a group, those that were made.

    Raises:
        GenerationFailed: No picture was made. Retryable where an internal error stopped them, never after moderation.
        ProtocolError: It does not decode, or holds neither a picture nor an error.
    """
    images = answer.read(_Images)
    pictures = tuple(filter(None, map(_picture, images.data or ())))
    if not pictures:
        errors = (error_of(images.error), *(error_of(item.error) for item in images.data or ()))
        raise _no_picture(next((error for error in errors if error is not None), None), answer)
    return Done(outputs=pictures, usage=_usage(images.usage), request_id=answer.headers.get("x-request-id"))


class _Image(Struct, frozen=True):
    url: str | None = None
    b64_json: str | None = None
    output_format: str | None = None
    error: Any = None


class _Images(Struct, frozen=True):
    data: list[_Image] | None = None
    error: Any = None
    usage: Any = None


def _picture(item: _Image) -> ImageOutput | None:
    media_type = f"image/{item.output_format}" if item.output_format else None
    return read_picture(item.url, item.b64_json, media_type=media_type, url_lifetime_s=URL_LIFETIME_S)


def _no_picture(error: VendorError | None, answer: Answer) -> GenerationFailed | ProtocolError:
    request_id = answer.headers.get("x-request-id")
    if error is None:
        return ProtocolError("the answer holds neither a picture nor an error", request_id=request_id)
    return GenerationFailed(
        f"ark made no picture: {error.text}",
        retryable=(error.code or "").startswith("Internal"),
        code=error.code,
        request_id=request_id,
    )


def _usage(usage: object) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    return Usage(
        images=count(usage, "generated_images"),
        output_tokens=count(usage, "output_tokens"),
        total_tokens=count(usage, "total_tokens"),
    )


def _shared(model: str, params: ImageParams) -> dict[str, object]:
    """The watermark is always sent, because Ark's own default is to put one."""
    return {
        "model": model,
        "prompt": params.prompt,
        "response_format": params.response_format,
        "watermark": params.watermark,
    }


def _seedream_3(model: str, params: Seedream3Params) -> Mapping[str, object]:
    return {**_shared(model, params), "size": params.size, **given(params, "seed", "guidance_scale")}


def _seededit_3(model: str, params: SeedEdit3Params) -> Mapping[str, object]:
    return {
        **_shared(model, params),
        "image": params.image_urls[0],
        "size": "adaptive",
        **given(params, "seed", "guidance_scale"),
    }


def _seedream_4(model: str, params: Seedream4Params) -> Mapping[str, object]:
    """A group only where it was asked for: with `auto` the model decides how many pictures are billed."""
    images = {"image": list(params.image_urls)} if params.image_urls else {}
    return {**_shared(model, params), "size": params.size, **images, **_sequence(params.n)}


def _seedream_5(model: str, params: Seedream5Params) -> Mapping[str, object]:
    return {**_seedream_4(model, params), **given(params, "output_format")}


def _sequence(n: int) -> Mapping[str, object]:
    if n == 1:
        return {"sequential_image_generation": "disabled"}
    return {"sequential_image_generation": "auto", "sequential_image_generation_options": {"max_images": n}}


IMAGE_FAMILIES: Final[Families] = {
    "seedream-3": Family(type=TaskType.IMAGE, params=Seedream3Params, timeout_s=300.0, request=_seedream_3),
    "seededit-3": Family(type=TaskType.IMAGE, params=SeedEdit3Params, timeout_s=300.0, request=_seededit_3),
    "seedream-4": Family(type=TaskType.IMAGE, params=Seedream4Params, timeout_s=900.0, request=_seedream_4),
    "seedream-4-5": Family(type=TaskType.IMAGE, params=Seedream45Params, timeout_s=900.0, request=_seedream_4),
    "seedream-5": Family(type=TaskType.IMAGE, params=Seedream5Params, timeout_s=900.0, request=_seedream_5),
}
