"""Sizes of images: a name such as 2K, or width x height within limits."""

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

MAX_RATIO: Final = 16
_SIZE: Final = re.compile(r"([1-9][0-9]{1,4})x([1-9][0-9]{1,4})", re.ASCII)


class PixelRange(Struct, frozen=True, kw_only=True):
    """The smallest and the largest number of pixels; both are allowed."""

    least: int
    most: int


def check_size(size: str, *, named: Sequence[str], pixels: PixelRange) -> None:
    """
    Accept one of the named sizes, or width x height with a ratio from 1:16 to 16:1 and pixels in the range.

    Raises:
        ValueError: Says what came and what is allowed.
    """
    if size in named:
        return
    match = _SIZE.fullmatch(size)
    if match is None:
        raise ValueError(f"size: {size!r} came, allowed are {', '.join(named)} and WIDTHxHEIGHT such as 2048x2048")
    width, height = int(match[1]), int(match[2])
    if not pixels.least <= width * height <= pixels.most:
        raise ValueError(
            f"size: {size} has {width * height} pixels, allowed are {pixels.least} to {pixels.most} (width x height)"
        )
    if max(width, height) > MAX_RATIO * min(width, height):
        raise ValueError(f"size: {size} is too long, allowed ratios are 1:{MAX_RATIO} to {MAX_RATIO}:1")
