"""
Params of the Jimeng image models.

Source: the vendor's pages docs/85621/1817045 (4.0), /1616429 (3.0, 3.1) and /1747301 (image-to-image 3.0), and the
pages of the two inpainting services, in copies read on 2026-11-22. The limits of 2.1 and 4.6 are those of third-party
clients.
"""

from typing import Annotated, Final

from msgspec import Meta

from services.vendors.jimeng.fields import (
    AigcMetaWithId,
    AnyPrompt,
    Body,
    PictureParams,
    Prompt,
    Scale,
    Seed,
    UsePreLlm,
    given,
)
from services.vendors.jimeng.input_images import Base64Images, ImageUrls, check_images, image_fields
from services.vendors.jimeng.sizes import (
    area_of,
    check_sides,
    check_v3,
    check_v4,
    chosen_pair,
    chosen_pixels,
    written_pixels,
)

V21_SIZES: Final = ("512x512", "512x384", "384x512", "512x341", "341x512", "512x288", "288x512")
V21Side = Annotated[int, Meta(ge=256, le=768, description="Pixels, 256 to 768; width and height come together.")]
V21Size = Annotated[
    str,
    Meta(
        max_length=16,
        description="One of the table; or send width and height.",
        extra_json_schema={"enum": [*V21_SIZES]},
    ),
]
V3Side = Annotated[int, Meta(ge=512, le=3024, description="Pixels; width and height come together.")]
I2iSide = Annotated[int, Meta(ge=512, le=2016, description="Pixels, 512 to 2016; width and height come together.")]
V4Side = Annotated[int, Meta(ge=256, le=16384, description="Pixels; width and height come together.")]
V3Size = Annotated[
    str,
    Meta(
        max_length=16, description="Like 1328x1328: 512 to 2048 a side or 2304x1728, 2496x1664, 2560x1440, 3024x1296."
    ),
]
I2iSize = Annotated[str, Meta(max_length=16, description="Like 1328x1328: 512 to 2016 a side.")]
V4Size = Annotated[
    str,
    Meta(
        max_length=16,
        description="1K, 2K or 4K (the model picks the ratio), a size like 2560x1440, or an area like 4194304.",
    ),
]
Ratio = Annotated[float, Meta(ge=1 / 16, lt=16, description="Width to height.")]
ForceSingle = Annotated[
    bool, Meta(description="False lets the model make as many pictures as the prompt asks for; each is billed.")
]

_V4_SIZES: Final = "1K, 2K, 4K, a size like 2560x1440 or an area like 4194304"


class GeneralV21(PictureParams, frozen=True, kw_only=True):
    """Text to image 2.1 (`jimeng_high_aes_general_v21_L`); `use_sr` (the vendor's default) doubles each side."""

    prompt: AnyPrompt
    size: V21Size | None = None
    width: V21Side | None = None
    height: V21Side | None = None
    seed: Seed | None = None
    use_pre_llm: UsePreLlm | None = None
    use_sr: Annotated[bool, Meta(description="Double each side; the vendor's default.")] | None = None

    def __post_init__(self) -> None:
        chosen_pixels(self.size, self.width, self.height)
        if self.size is not None and self.size not in V21_SIZES:
            raise ValueError(f"size {self.size!r} is not one of {', '.join(V21_SIZES)}")

    def body(self) -> Body:
        pixels = chosen_pixels(self.size, self.width, self.height)
        return {
            **given(prompt=self.prompt, seed=self.seed, use_pre_llm=self.use_pre_llm, use_sr=self.use_sr),
            **(pixels.fields() if pixels else {}),
        }


class TextToImageV3(PictureParams, frozen=True, kw_only=True):
    """Text to image 3.0 and 3.1."""

    prompt: Prompt
    size: V3Size | None = None
    width: V3Side | None = None
    height: V3Side | None = None
    seed: Seed | None = None
    use_pre_llm: UsePreLlm | None = None

    def __post_init__(self) -> None:
        pixels = chosen_pixels(self.size, self.width, self.height)
        if pixels is not None:
            check_v3(pixels)

    def body(self) -> Body:
        pixels = chosen_pixels(self.size, self.width, self.height)
        return {
            **given(prompt=self.prompt, seed=self.seed, use_pre_llm=self.use_pre_llm),
            **(pixels.fields() if pixels else {}),
        }


class ImageToImageV3(PictureParams, frozen=True, kw_only=True):
    """Image to image 3.0; the output's sides are rounded to 16 and held in 512 to 1536."""

    prompt: Prompt
    image_urls: ImageUrls = ()
    binary_data_base64: Base64Images = ()
    size: I2iSize | None = None
    width: I2iSide | None = None
    height: I2iSide | None = None
    scale: Scale | None = None
    seed: Seed | None = None

    def __post_init__(self) -> None:
        check_images(self.image_urls, self.binary_data_base64, least=1, most=1, megabytes=4.7)
        pixels = chosen_pixels(self.size, self.width, self.height)
        if pixels is not None:
            check_sides(pixels, least=512, most=2016)

    def body(self) -> Body:
        pixels = chosen_pixels(self.size, self.width, self.height)
        return {
            **given(prompt=self.prompt, scale=self.scale, seed=self.seed),
            **image_fields(self.image_urls, self.binary_data_base64),
            **(pixels.fields() if pixels else {}),
        }


class _V4(PictureParams, frozen=True, kw_only=True):
    """What 4.0 and 4.6 share."""

    prompt: Prompt
    image_urls: ImageUrls = ()
    binary_data_base64: Base64Images = ()
    size: V4Size | None = None
    width: V4Side | None = None
    height: V4Side | None = None
    min_ratio: Ratio | None = None
    max_ratio: Ratio | None = None
    force_single: ForceSingle = True
    aigc_meta: AigcMetaWithId | None = None

    def size_fields(self) -> Body:
        """
        `size` as an area, or `width` and `height`, or nothing.

        Raises:
            ValueError: What came is not allowed.
        """
        least = 1 / 3 if self.min_ratio is None else self.min_ratio
        most = 3.0 if self.max_ratio is None else self.max_ratio
        if least > most:
            raise ValueError(f"min_ratio {least:.3g} is above max_ratio {most:.3g}")
        pair = chosen_pair(self.size, self.width, self.height)
        if pair is None:
            if self.size is None:
                return {}
            area = area_of(self.size)
            if area is not None:
                return {"size": area}
            pair = written_pixels(self.size, _V4_SIZES)
        check_v4(pair, least_ratio=least, most_ratio=most)
        return {**pair.fields()}

    def body(self) -> Body:
        return {
            **given(prompt=self.prompt, min_ratio=self.min_ratio, max_ratio=self.max_ratio),
            **image_fields(self.image_urls, self.binary_data_base64),
            **self.size_fields(),
            "force_single": self.force_single,
        }


class ImageV40(_V4, frozen=True, kw_only=True):
    """Image 4.0: text to image, or image to image with up to ten input images."""

    scale: Scale | None = None

    def __post_init__(self) -> None:
        check_images(self.image_urls, self.binary_data_base64, least=0, most=10, megabytes=15)
        self.size_fields()

    def body(self) -> Body:
        return {**super().body(), **given(scale=self.scale)}


class ImageV46(_V4, frozen=True, kw_only=True):
    """Image 4.6: as 4.0 with up to fourteen input images and `scale` as a whole number."""

    scale: Annotated[int, Meta(ge=1, le=100, description="Weight of the prompt, 1 to 100.")] | None = None

    def __post_init__(self) -> None:
        check_images(self.image_urls, self.binary_data_base64, least=0, most=14, megabytes=15)
        self.size_fields()

    def body(self) -> Body:
        return {**super().body(), **given(scale=self.scale)}


class DreamInpaint(PictureParams, frozen=True, kw_only=True):
    """Repaint a part: the original, then a grey mask (0 keeps, 255 repaints); the prompt 删除 erases."""

    prompt: AnyPrompt
    image_urls: ImageUrls = ()
    binary_data_base64: Base64Images = ()
    seed: Seed | None = None
    aigc_meta: AigcMetaWithId | None = None

    def __post_init__(self) -> None:
        check_images(self.image_urls, self.binary_data_base64, least=2, most=2, megabytes=4.7)

    def body(self) -> Body:
        return {
            **given(prompt=self.prompt, seed=self.seed),
            **image_fields(self.image_urls, self.binary_data_base64),
        }


class InpaintEdit(PictureParams, frozen=True, kw_only=True):
    """Repaint a part at once (`img2img_inpainting_edit_zi2i`): the original, then the mask."""

    prompt: AnyPrompt
    image_urls: ImageUrls = ()
    binary_data_base64: Base64Images = ()
    steps: Annotated[int, Meta(ge=1, description="Sampling steps; the vendor's default is 25.")] | None = None
    scale: Annotated[float, Meta(ge=1, le=20, description="Weight of the prompt, 1 to 20.")] | None = None
    seed: Seed | None = None

    def __post_init__(self) -> None:
        check_images(self.image_urls, self.binary_data_base64, least=2, most=2, megabytes=5)

    def body(self) -> Body:
        return {
            **given(custom_prompt=self.prompt, steps=self.steps, scale=self.scale, seed=self.seed),
            **image_fields(self.image_urls, self.binary_data_base64),
        }
