"""Checks of input pictures: base64 is decoded; of links only the scheme is checked, they are never fetched."""

import base64
import binascii
import io

from PIL import Image, UnidentifiedImageError


class InvalidPicture(Exception):
    """
    A picture of the request cannot be used.

    Attributes:
        problem: `size` (too many bytes or pixels), `decode`, `ratio` or `link`.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


def check_base64(text: str, *, max_bytes: float, max_side: int, max_ratio: float, min_side: int = 1) -> None:
    """
    Check one JPEG or PNG in base64.

    Raises:
        InvalidPicture: It does not decode, or exceeds a limit.
    """
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise InvalidPicture("decode") from error
    if len(content) > max_bytes:
        raise InvalidPicture("size")
    width, height = _size(content)
    if max(width, height) > max_side or min(width, height) < min_side:
        raise InvalidPicture("size")
    if max(width, height) / min(width, height) > max_ratio:
        raise InvalidPicture("ratio")


def check_link(text: str) -> None:
    """
    Check the scheme of a link.

    Raises:
        InvalidPicture: It is not http or https.
    """
    if not text.startswith(("http://", "https://")):
        raise InvalidPicture("link")


def _size(content: bytes) -> tuple[int, int]:
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG", "PNG"]) as picture:
            return picture.size
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise InvalidPicture("decode") from error
