"""
Answers of Ark's image API: one document, or a stream with one event for each image.

Source: Ark's page of the image API (docs/82379/1541523), a copy of September 2025 read on 2026-11-22.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from polyrelay import Answer, Done, GenerationFailed, ImageOutput, OutcomeUnknown, ProtocolError, Usage
from services.vendors.images import read_picture
from services.vendors.numbers import count
from services.vendors.openai_wire.errors import VendorError, error_of

URL_LIFETIME_S: Final = 24 * 3600.0


def read_images(answer: Answer) -> Done:
    """
    The images of an answer. Where some images of a group failed, the others are the result.

    Raises:
        GenerationFailed: There is no image. Retryable after an internal error, never after moderation.
        ProtocolError: The answer does not decode, or has neither an image nor an error.
    """
    images = answer.read(_Images)
    request_id = answer.headers.get("x-request-id")
    pictures = tuple(picture for item in images.data or () if (picture := _picture(item)) is not None)
    if pictures:
        return Done(outputs=pictures, usage=_usage(images.usage), request_id=request_id)
    errors = _errors([images.error, *(item.error for item in images.data or ())])
    if not errors:
        raise ProtocolError("the answer holds neither a picture nor an error", request_id=request_id)
    raise _no_picture(errors[0], request_id)


class Group:
    """Collects the events of a streamed group of images."""

    def __init__(self) -> None:
        self.pictures: list[ImageOutput] = []
        self._errors: list[VendorError] = []
        self._usage: Usage | None = None

    def add(self, data: bytes) -> None:
        """
        Add one event.

        Raises:
            ProtocolError: The event does not decode.
        """
        try:
            event = msgspec.json.decode(data, type=_Event)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ProtocolError(f"an event of the group does not decode: {error}") from error
        picture = _picture(event)
        if picture is not None:
            self.pictures.append(picture)
        self._errors += _errors([event.error])
        self._usage = _usage(event.usage) or self._usage

    def done(self) -> Done:
        """
        The images received so far.

        Raises:
            GenerationFailed: There is an error and no image; retryable as in `read_images`.
            OutcomeUnknown: There is neither an image nor an error.
        """
        if self.pictures:
            return Done(outputs=tuple(self.pictures), usage=self._usage or Usage(images=len(self.pictures)))
        if self._errors:
            raise _no_picture(self._errors[0], None)
        raise OutcomeUnknown("the stream ended before the first picture")


class _Image(Struct, frozen=True):
    url: str | None = None
    b64_json: Raw = Raw()
    output_format: str | None = None
    error: Any = None


class _Event(_Image, frozen=True):
    usage: Any = None


class _Images(Struct, frozen=True):
    data: list[_Image] | None = None
    error: Any = None
    usage: Any = None


def _picture(item: _Image) -> ImageOutput | None:
    media_type = f"image/{item.output_format}" if item.output_format else None
    return read_picture(item.url, item.b64_json, media_type=media_type, url_lifetime_s=URL_LIFETIME_S)


def _errors(values: Sequence[object]) -> list[VendorError]:
    return [error for error in map(error_of, values) if error is not None]


def _no_picture(error: VendorError, request_id: str | None) -> GenerationFailed:
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
