"""
Params of Seedream and SeedEdit, one class for each generation.

Source: Ark's page of the image API (docs/82379/1541523), a copy of September 2025 read on 2026-11-22; the limits of
4.5 and 5.0 are third-party copies of later revisions.
"""

from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta

from polyrelay import Params
from services.vendors.ark.sizes import PixelRange, check_size
from services.vendors.images import ImageReference

MAX_PICTURES: Final = 15

Prompt = Annotated[str, Meta(min_length=1, max_length=4000, description="Ark advises at most 300 Chinese characters")]
Seed = Annotated[int, Meta(ge=-1, le=2_147_483_647)]
Guidance = Annotated[float, Meta(ge=1, le=10)]


class ImageParams(Params, frozen=True, kw_only=True):
    """What every generation takes."""

    prompt: Prompt
    watermark: bool = False
    response_format: Literal["url", "b64_json"] = "url"


class Seedream3Params(ImageParams, frozen=True, kw_only=True):
    """Input of Seedream 3.0, which makes one picture from a text."""

    size: Literal["1024x1024", "864x1152", "1152x864", "1280x720", "720x1280", "832x1248", "1248x832", "1512x648"] = (
        "1024x1024"
    )
    seed: Seed | None = None
    guidance_scale: Guidance | None = None


class SeedEdit3Params(ImageParams, frozen=True, kw_only=True):
    """Input of SeedEdit 3.0, which changes one picture; the size follows it."""

    image_urls: Annotated[tuple[ImageReference, ...], Meta(min_length=1, max_length=1)]
    seed: Seed | None = None
    guidance_scale: Guidance | None = None


class Seedream4Params(ImageParams, frozen=True, kw_only=True):
    """
    Input of Seedream 4.0.

    Attributes:
        size: "1K", "2K" or "4K", where the model takes the ratio from the prompt, or width x height.
        image_urls: Pictures to work from.
        n: The most pictures that the model may make; each one is billed. Together with `image_urls` at most 15.
    """

    NAMED_SIZES: ClassVar[tuple[str, ...]] = ("1K", "2K", "4K")
    PIXELS: ClassVar[PixelRange] = PixelRange(least=1280 * 720, most=4096 * 4096)
    MAX_REFERENCES: ClassVar[int] = 10

    size: Annotated[str, Meta(max_length=16, description="1K, 2K, 4K or WIDTHxHEIGHT")] = "2048x2048"
    image_urls: tuple[ImageReference, ...] = ()
    n: Annotated[int, Meta(ge=1, le=MAX_PICTURES)] = 1

    def __post_init__(self) -> None:
        check_size(self.size, named=self.NAMED_SIZES, pixels=self.PIXELS)
        references = len(self.image_urls)
        if references > self.MAX_REFERENCES:
            raise ValueError(f"image_urls: {references} pictures came, at most {self.MAX_REFERENCES} are allowed")
        if references + self.n > MAX_PICTURES:
            raise ValueError(
                f"image_urls and n: {references} pictures in and {self.n} out, at most {MAX_PICTURES} together"
            )


class Seedream45Params(Seedream4Params, frozen=True, kw_only=True):
    """Input of Seedream 4.5: larger pictures than 4.0 and up to 14 to work from."""

    NAMED_SIZES: ClassVar[tuple[str, ...]] = ("2K", "4K")
    PIXELS: ClassVar[PixelRange] = PixelRange(least=2560 * 1440, most=4096 * 4096)
    MAX_REFERENCES: ClassVar[int] = 14


class Seedream5Params(Seedream4Params, frozen=True, kw_only=True):
    """Input of Seedream 5.0; the smaller models of the line refuse some of these sizes themselves."""

    NAMED_SIZES: ClassVar[tuple[str, ...]] = ("1K", "2K", "3K", "4K")
    MAX_REFERENCES: ClassVar[int] = 14

    output_format: Literal["png", "jpeg"] | None = None
