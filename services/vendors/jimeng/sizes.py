"""
Sizes of images, as callers send them and as the vendor expects them.

A caller sends either `size` ("1024x768"), or both `width` and `height`.
"""

import re
from typing import Final

from msgspec import Struct

_WIDTH_X_HEIGHT: Final = re.compile(r"([1-9]\d{1,4})x([1-9]\d{1,4})", re.ASCII)
_AREA: Final = re.compile(r"[1-9]\d{6,7}", re.ASCII)
_NAMED_AREAS: Final = {"1K": 1024 * 1024, "2K": 2048 * 2048, "4K": 4096 * 4096}
_LEAST_AREA: Final = 1024 * 1024
_MOST_AREA: Final = 4096 * 4096

# The page of 3.0 and 3.1 allows 512 to 2048 pixels per side, but recommends these larger sizes too.
_RECOMMENDED_2K: Final = frozenset({(2048, 2048), (2304, 1728), (2496, 1664), (2560, 1440), (3024, 1296)})


class Pixels(Struct, frozen=True):
    """Width and height in pixels."""

    width: int
    height: int

    @property
    def area(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def ratio(self) -> float:
        """Width divided by height."""
        return self.width / self.height

    def fields(self) -> dict[str, int]:
        """The size as fields of the request."""
        return {"width": self.width, "height": self.height}

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def chosen_pixels(size: str | None, width: int | None, height: int | None) -> Pixels | None:
    """
    The size that the caller sent, or None where there is none.

    Raises:
        ValueError: Only one of `width` and `height`, `size` beside them, or a `size` that is not like "1024x768".
    """
    pair = chosen_pair(size, width, height)
    if pair is not None or size is None:
        return pair
    return written_pixels(size, "a size like 1024x768")


def chosen_pair(size: str | None, width: int | None, height: int | None) -> Pixels | None:
    """
    `width` and `height`, or None where neither was sent. The text of `size` is not read.

    Raises:
        ValueError: Only one of them, or `size` beside them.
    """
    if width is None and height is None:
        return None
    if width is None or height is None:
        name, value = ("width", width) if height is None else ("height", height)
        raise ValueError(f"{name} {value} came alone; send width and height together")
    if size is not None:
        raise ValueError(f"size {size!r} and {width}x{height} as width and height came; send one of the two")
    return Pixels(width, height)


def written_pixels(size: str, allowed: str) -> Pixels:
    """
    Read a `size` such as "1024x768".

    Raises:
        ValueError: The text has another form; the message says what is `allowed`.
    """
    match = _WIDTH_X_HEIGHT.fullmatch(size)
    if match is None:
        raise ValueError(f"size {size!r} is not {allowed}")
    return Pixels(int(match[1]), int(match[2]))


def check_sides(pixels: Pixels, *, least: int, most: int) -> None:
    """
    Check both sides against the limits.

    Raises:
        ValueError: One side is outside of the limits.
    """
    if not (least <= pixels.width <= most and least <= pixels.height <= most):
        raise ValueError(f"size {pixels} is not allowed: each side has {least} to {most} pixels")


def check_v3(pixels: Pixels) -> None:
    """
    Check a size of text-to-image 3.0 and 3.1: 512 to 2048 a side or a recommended 2K size, ratio 1:3 to 3:1.

    Raises:
        ValueError: The size is neither.
    """
    if (max(pixels.width, pixels.height), min(pixels.width, pixels.height)) not in _RECOMMENDED_2K:
        check_sides(pixels, least=512, most=2048)
    check_ratio(pixels, least=1 / 3, most=3)


def check_ratio(pixels: Pixels, *, least: float, most: float) -> None:
    """
    Check the ratio of width to height.

    Raises:
        ValueError: The ratio is outside of the limits.
    """
    if not least <= pixels.ratio <= most:
        raise ValueError(
            f"size {pixels} is not allowed: width to height is {pixels.ratio:.3g}, allowed is {least:.3g} to {most:.3g}"
        )


def area_of(size: str) -> int | None:
    """
    The area in pixels where a `size` of 4.0 names one ("2K", "4194304"), or None where it is like "2048x2048".

    Raises:
        ValueError: The area is outside 1024 * 1024 to 4096 * 4096.
    """
    if size in _NAMED_AREAS:
        return _NAMED_AREAS[size]
    if not _AREA.fullmatch(size):
        return None
    _check_area(int(size), size)
    return int(size)


def check_v4(pixels: Pixels, *, least_ratio: float, most_ratio: float) -> None:
    """
    Check a size of image 4.0 and 4.6.

    Raises:
        ValueError: The area or the ratio is outside of the limits.
    """
    _check_area(pixels.area, str(pixels))
    check_ratio(pixels, least=least_ratio, most=most_ratio)


def _check_area(area: int, size: str) -> None:
    if not _LEAST_AREA <= area <= _MOST_AREA:
        raise ValueError(f"size {size} is not allowed: it is {area} pixels, allowed are {_LEAST_AREA} to {_MOST_AREA}")
