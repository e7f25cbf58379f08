"""Images as input (links and data URIs) and as output of Ark and OpenAI."""

import base64
import binascii
import re
from typing import Annotated, Final

from msgspec import Meta, Raw

from polyrelay import ImageOutput, ProtocolError
from services.vendors.base64_data import decode_base64

MAX_REFERENCE_CHARS: Final = 14_000_000
"""10 MB as base64: the largest image that Ark accepts."""

_DATA_URI: Final = re.compile(r"data:(image/[a-z0-9.+-]+);base64,(.+)", re.DOTALL)

ImageReference = Annotated[
    str,
    Meta(
        pattern=r"^(https?://\S+|data:image/[a-z0-9.+-]+;base64,[A-Za-z0-9+/=]+)$",
        max_length=MAX_REFERENCE_CHARS,
        description="A link that the vendor can read, or data:image/png;base64,… with the format in lower case",
    ),
]


def embedded(reference: str) -> tuple[str, bytes] | None:
    """
    Media type and bytes of a data URI, or None for a link.

    Raises:
        ValueError: The data is not base64.
    """
    match = _DATA_URI.fullmatch(reference)
    if match is None:
        return None
    try:
        return match[1], base64.b64decode(match[2], validate=True)
    except binascii.Error as error:
        raise ValueError(f"the picture given as {match[1]} is not base64: {error}") from error


def read_picture(
    url: str | None, b64_json: Raw, *, media_type: str | None, url_lifetime_s: float
) -> ImageOutput | None:
    """
    One image of an answer, or None where there is neither a link nor data.

    Raises:
        ProtocolError: The data is not base64.
    """
    if url:
        return ImageOutput(url=url, media_type=media_type, lifetime_s=url_lifetime_s)
    try:
        data = decode_base64(b64_json)
    except ValueError as error:
        raise ProtocolError(f"a picture is not base64: {error}") from error
    return None if data is None else ImageOutput(data=data, media_type=media_type)
