"""Input images of Jimeng models, as links or as base64."""

import binascii
from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import Meta

from services.vendors.jimeng.fields import Body
from services.vendors.jimeng.media import image_type

ImageUrl = Annotated[str, Meta(pattern=r"^https?://\S+$", max_length=8192)]
ImageUrls = Annotated[
    tuple[ImageUrl, ...], Meta(description="Links to the input images (JPEG or PNG) that anybody can read.")
]
Base64Images = Annotated[
    tuple[str, ...], Meta(description="The input images (JPEG or PNG) as base64, without a `data:` prefix.")
]

# The vendor refuses a body of more than 10 MB with code 50213; the rest of the body is small.
_MOST_BASE64_CHARS: Final = 10 * 1024 * 1024 - 64 * 1024
_ACCEPTED: Final = ("image/jpeg", "image/png")


def check_images(
    image_urls: Sequence[str], binary_data_base64: Sequence[str], *, least: int, most: int, megabytes: float
) -> None:
    """
    Check the number of input images, and the size and format of each file.

    Args:
        image_urls: Links.
        binary_data_base64: Files as base64.
        least: Smallest number of images that the model accepts.
        most: Largest number of images that the model accepts.
        megabytes: Largest file that the model accepts, in units of 1024 * 1024 bytes.

    Raises:
        ValueError: Its text tells the caller what is wrong.
    """
    if image_urls and binary_data_base64:
        raise ValueError(
            f"{len(image_urls)} image_urls and {len(binary_data_base64)} binary_data_base64 came; send one of the two"
        )
    count = len(image_urls) + len(binary_data_base64)
    if not least <= count <= most:
        allowed = str(least) if least == most else f"{least} to {most}"
        raise ValueError(f"{count} input images came; this model takes {allowed} (image_urls or binary_data_base64)")
    _check_files(binary_data_base64, most_bytes=int(megabytes * 1024 * 1024))


def image_fields(image_urls: Sequence[str], binary_data_base64: Sequence[str]) -> Body:
    """The field of the request that has the images; empty where there are none."""
    if image_urls:
        return {"image_urls": list(image_urls)}
    return {"binary_data_base64": list(binary_data_base64)} if binary_data_base64 else {}


def _check_files(images: Sequence[str], *, most_bytes: int) -> None:
    total = sum(map(len, images))
    if total > _MOST_BASE64_CHARS:
        raise ValueError(
            f"binary_data_base64 has {total} characters; all together may have {_MOST_BASE64_CHARS}: use image_urls"
        )
    for index, text in enumerate(images):
        size = _checked_size(text, f"binary_data_base64[{index}]")
        if size > most_bytes:
            raise ValueError(f"binary_data_base64[{index}] has {size} bytes; this model takes up to {most_bytes}")


def _checked_size(text: str, name: str) -> int:
    if text.startswith("data:"):
        raise ValueError(f"{name} starts with 'data:'; send the base64 text alone, without the prefix")
    try:
        content = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise ValueError(f"{name} is not base64: {str(error).lower()}") from error
    found = image_type(content)
    if found not in _ACCEPTED:
        raise ValueError(f"{name} is {found or 'no known kind of picture'}; a JPEG or PNG file is needed")
    return len(content)
