"""What a generation will yield: how many files, of which size and kind."""

import re

import msgspec

from simulator.drawing import Recipe, seed_of
from simulator.settings import Media

ASKED_COUNT = re.compile(r"(\d{1,2})\s*(?:张|幅|images|pictures|photos)")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """
    The files of one generation.

    Attributes:
        seed: From the prompt and what the caller says of randomness.
        format: jpeg, png, webp or mp4.
        duration_s: Of a video, in seconds.
    """

    seed: int
    width: int
    height: int
    format: str
    count: int = 1
    duration_s: int = 0

    @property
    def media(self) -> Media:
        """image or video."""
        return "video" if self.format == "mp4" else "image"

    def recipes(self) -> list[Recipe]:
        """One recipe a file; those of a group differ."""
        return [
            Recipe(
                seed=seed_of(self.seed, index),
                width=self.width,
                height=self.height,
                format=self.format,
                duration_s=self.duration_s,
            )
            for index in range(self.count)
        ]


def count_asked(prompt: str) -> int | None:
    """The number of pictures that a prompt asks for, as in "4张" or "3 pictures"."""
    match = ASKED_COUNT.search(prompt)
    return max(int(match.group(1)), 1) if match else None


def within_ratio(width: int, height: int, lowest: float, highest: float) -> bool:
    """Whether width to height lies between the two, ends included."""
    return lowest <= width / height <= highest
