"""
Params of Seedance, one class for each generation.

Source: Ark's page "create a video generation task", a copy of August 2026 read on 2026-11-22. That page no longer
describes 1.5, whose source are third-party copies.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from polyrelay import Params
from services.vendors.images import ImageReference

Ratio = Literal["16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive"]
FrameUrls = Annotated[
    tuple[ImageReference, ...], Meta(max_length=2, description="The first frame, and the last one where two are given")
]


class SeedanceParams(Params, frozen=True, kw_only=True):
    """
    What every generation takes.

    Attributes:
        prompt: What happens; may be left out where pictures are given.
        image_urls: The first frame, or the first and the last.
        duration: In seconds; always sent, because the default of some models lets the model choose what is billed.
    """

    EXTRA_FIELDS: ClassVar[tuple[str, ...]] = ()

    prompt: Annotated[str, Meta(min_length=1, max_length=4000)] | None = None
    image_urls: FrameUrls = ()
    aspect_ratio: Ratio | None = None
    duration: Annotated[int, Meta(ge=2, le=12)] = 5
    watermark: bool = False

    @property
    def pictures(self) -> Sequence[tuple[str, str]]:
        """Role and link of each picture, in the order in which they are sent."""
        return list(zip(("first_frame", "last_frame"), self.image_urls, strict=False))

    def __post_init__(self) -> None:
        if self.prompt is None and not self.pictures:
            raise ValueError("give a prompt or pictures; neither came")


class Seedance1Params(SeedanceParams, frozen=True, kw_only=True):
    """Input of Seedance 1.0. The fast model takes only a first frame, and says so itself."""

    EXTRA_FIELDS: ClassVar[tuple[str, ...]] = ("seed", "camera_fixed")

    resolution: Literal["480p", "720p", "1080p"] | None = None
    seed: Annotated[int, Meta(ge=-1, le=2_147_483_647)] | None = None
    camera_fixed: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.aspect_ratio == "adaptive" and not self.image_urls:
            raise ValueError(
                "aspect_ratio: 'adaptive' came without image_urls; a text alone needs a ratio such as 16:9"
            )


class Seedance15Params(Seedance1Params, frozen=True, kw_only=True):
    """Input of Seedance 1.5, which also makes sound."""

    EXTRA_FIELDS: ClassVar[tuple[str, ...]] = ("seed", "camera_fixed", "generate_audio")

    duration: Annotated[int, Meta(ge=4, le=12)] = 5
    generate_audio: bool | None = None


class Seedance2Params(SeedanceParams, frozen=True, kw_only=True):
    """
    Input of Seedance 2.0.

    Attributes:
        reference_image_urls: Pictures to take things or people from; not together with `image_urls`.
    """

    EXTRA_FIELDS: ClassVar[tuple[str, ...]] = ("generate_audio",)
    MAX_REFERENCES: ClassVar[int] = 9

    resolution: Literal["480p", "720p", "1080p", "4k"] | None = None
    duration: Annotated[int, Meta(ge=4, le=15)] = 5
    generate_audio: bool | None = None
    reference_image_urls: tuple[ImageReference, ...] = ()

    @property
    def pictures(self) -> Sequence[tuple[str, str]]:
        """As always, and the references behind them."""
        return [*super().pictures, *(("reference_image", url) for url in self.reference_image_urls)]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.image_urls and self.reference_image_urls:
            raise ValueError("give image_urls (frames) or reference_image_urls; both came")
        if (came := len(self.reference_image_urls)) > self.MAX_REFERENCES:
            raise ValueError(f"reference_image_urls: {came} pictures came, at most {self.MAX_REFERENCES} are allowed")


class Seedance2FastParams(Seedance2Params, frozen=True, kw_only=True):
    """Input of Seedance 2.0 fast and mini, which stop at 720p."""

    resolution: Literal["480p", "720p"] | None = None


class Seedance25Params(Seedance2Params, frozen=True, kw_only=True):
    """Input of Seedance 2.5: up to 30 s and 30 references; from frames the ratio is that of the first one."""

    EXTRA_FIELDS: ClassVar[tuple[str, ...]] = ("generate_audio", "output_format")
    MAX_REFERENCES: ClassVar[int] = 30

    resolution: Literal["480p", "720p", "1080p"] | None = None
    duration: Annotated[int, Meta(ge=4, le=30)] = 5
    output_format: Literal["mp4", "mov"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.image_urls and self.aspect_ratio not in (None, "adaptive"):
            raise ValueError(f"aspect_ratio: {self.aspect_ratio} came with image_urls; only adaptive is allowed then")
