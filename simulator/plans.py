"""Plans: number, size and format of the files that a generation produces."""

import re

import msgspec

from simulator.drawing import Recipe, seed_of
from simulator.settings import Media

ASKED_COUNT = re.compile(r"(\d{1,2})\s*(?:张|幅|images|pictures|photos)")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """
    The files of one generation.

    Attributes:
        seed: Derived from the prompt and the caller's seed.
        format: jpeg, png, webp or mp4.
        duration_s: Length of a video, in seconds.
    """

    seed: int
    width: int
    height: int
    format: str
    count: int = 1
    duration_s: int = 0

    @property
    def media(self) -> Media:
        """The medium: image or video."""
        return "video" if self.format == "mp4" else "image"

    def recipes(self) -> list[Recipe]:
        """One recipe for each file. The recipes of a group differ."""
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


def count_in_prompt(prompt: str) -> int | None:
    """The number of pictures that a prompt names, as in "4张" or "3 pictures", or None."""
    match = ASKED_COUNT.search(prompt)
    return max(int(match.group(1)), 1) if match else None


def within_ratio(width: int, height: int, lowest: float, highest: float) -> bool:
    """Whether the ratio of width to height is between the two values, or equal to one."""
    return lowest <= width / height <= highest
